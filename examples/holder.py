"""A data holder: encode people's records into a file that may leave the building.

python examples/holder.py people.csv schema.toml project.key hospital.clk.parquet
"""

import sys

import pprl

people, schema_file, key_file, out = sys.argv[1:]
info = pprl.encode_file(
    people,
    pprl.Schema.load(schema_file),
    pprl.LinkageKey.load(key_file),
    out,
    id_column="rec_id",
    holder="hospital",
)
print(f"{info.records:,} records; key check {info.key_check}")
for field, share in info.present.items():
    print(f"  {field}: filled in {share:.1%}")
