"""The yardstick: a scan that adds up the numbers and finds the least of the texts that the performance suite reads."""

from datafusion import SessionContext

from common import FILES, SCORED, SLICES, say

context = SessionContext()
context.register_parquet("rows", FILES[0])
sums = [f"sum({column}) AS {column}" for column in SCORED]
least = [f"min({column}) AS {column}" for column in SLICES]
row = context.sql(f"SELECT count(*) AS rows, {', '.join(sums + least)} FROM rows").to_pylist()[0]
say({f"{model}/mean/all": row[model] / row["rows"] for model in ("baseline", "candidate")})
