"""What success means, fixed beforehand; what an evaluation measured; and the verdict of one on the other.

A `Gate` is written, locked by its digest, and never changes. A `Record` is everything that an evaluation measured, in
integers and strings, so that every reader can compute the verdicts again. `judge` puts one against the other: a
criterion holds only where the whole interval is on the right side, and a point estimate never decides.

Pure: no file, no play, no person. Each file imports only from files before it in this list: `wording`, `canonical`,
`gate`, `problems`, `written`, `compare`, `record`, `deferred`, `judgement`, `quality`, `measures`, `judging`, `power`,
`progress`.
"""
