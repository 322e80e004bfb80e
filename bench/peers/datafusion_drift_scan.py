"""The yardstick of drift: a scan of the thirty features of both files."""

from datafusion import SessionContext

from common import FILES, FLOATS, TEXTS, say

sums = [f"sum({column}) AS {column}" for column in FLOATS]
least = [f"min({column}) AS {column}" for column in TEXTS]
context, numbers = SessionContext(), {}
for name, file in zip(("rows", "reference"), FILES):
    context.register_parquet(name, file)
    row = context.sql(f"SELECT {', '.join(sums + least)} FROM {name}").to_pylist()[0]
    numbers |= {f"{name}/sum/{column}": row[column] for column in FLOATS}
say(numbers)
