"""The page in a bundle that shows how to check it with standard tools."""

from __future__ import annotations

from distill_tui.people import signatures

HEADING = "# Checking this bundle by hand\n"
VERIFY = """# Checking this bundle by hand

With `ssh-keygen`, `sha256sum` and a shell, in this folder:

1. The sign-off is signed by a key of {signer}'s that `allowed_signers` holds:

       ssh-keygen -Y verify -f allowed_signers -I {signer} -n {namespace} -s sign_off.sig < sign_off.json

2. The key is really {signer}'s. No bundle can prove that: compare its fingerprint with the one that {signer} or the
   keeper of the roster sends you in another way.

       {fingerprint}

3. What was signed is what is here: the sign-off names these files by their SHA-256.

       for f in gate.json model.json roster.json records/*.json; do
         digest=$(sha256sum < "$f" | cut -c 1-64)
         if grep -q "sha256:$digest" sign_off.json; then echo "$f: signed"; else echo "$f: CHANGED"; fi
       done

4. The student's files are those that `model.json` names, and every other file is whole.

       for f in model/*; do
         digest=$(sha256sum < "$f" | cut -c 1-64)
         line="\\"${{f#model/}}\\":\\"sha256:$digest\\""
         if grep -qF "$line" model.json; then echo "$f: signed"; else echo "$f: CHANGED"; fi
       done
       sha256sum --check --strict --quiet SHA256SUMS

`distill-tui verify .` does all of this, finds files that were added, and computes every verdict of the gate again.
"""
VERIFY_SHIP = """
5. The ship is signed by a key of {signer}'s, and is about this sign-off. It also names every other file of the bundle
   by one digest, which `distill-tui verify .` computes again.

       ssh-keygen -Y verify -f ship_signers -I {signer} -n {namespace} -s ship.sig < ship.json
       digest=$(sha256sum < sign_off.json | cut -c 1-64)
       if grep -q "$digest" ship.json; then echo "ship.json: of this sign-off"; else echo "ship.json: CHANGED"; fi
"""


def by_hand(signer: str, fingerprint: str, shipper: str) -> str:
    """Write the page for who signed off, with which key, and who shipped; empty where it was not signed."""
    page = VERIFY.format(signer=signer, namespace=signatures.SIGN_OFF, fingerprint=fingerprint) if signer else HEADING
    return page + (VERIFY_SHIP.format(signer=shipper, namespace=signatures.SHIP) if shipper else "")
