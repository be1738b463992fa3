"""One evaluation as one value: see `review`."""
