"""python -m infra.policies worker publisher --store s3://bucket/prefix
python -m infra.policies uploader --store s3://bucket/prefix --collection spring --contributor "Emily Jäger"

Prints the policy document to attach to the user, or role, of whoever has these roles.
"""

from __future__ import annotations

import argparse
import json
import sys

from infra.policies import ROLES, PolicyError, policy


def main() -> int:
    """0, and the document; 2 and the reason if there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.policies", description="Prints what a role may do in a store's bucket, as AWS JSON."
    )
    parser.add_argument("roles", nargs="+", metavar="ROLE", help=", ".join(ROLES))
    parser.add_argument("--store", required=True, metavar="s3://BUCKET/PREFIX", help="as CREDIT_STORE")
    parser.add_argument("--collection", default="", help="of an uploader")
    parser.add_argument("--contributor", default="", help="of an uploader: the name they hand in with")
    given = parser.parse_args()
    try:
        document = policy(given.roles, given.store, collection=given.collection, contributor=given.contributor)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
