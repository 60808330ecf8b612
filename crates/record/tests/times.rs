//! Times: every type of column becomes milliseconds since 1970 UTC, or is refused.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Date32Array, Date64Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
    UInt64Array,
};
use clickcast_record::{Binding, Feature, InferredTimeUnit, Kind, Need, Roles, Schema, Side, Time, TimeUnit};

/// 2026-01-05 00:00 UTC.
const MONDAY_S: i64 = 1_767_571_200;
const MONDAY_MS: i64 = MONDAY_S * 1_000;

fn schema(time_unit: Option<TimeUnit>) -> Schema {
    let features = vec![Feature::new("x", Kind::Numeric, Side::User)];
    let roles = Roles { time: Some("t".to_owned()), time_unit, ..Roles::default() };
    Schema::new(features).unwrap().with_roles(roles).unwrap()
}

fn batch(times: ArrayRef) -> RecordBatch {
    let x = Arc::new(Float64Array::from(vec![0.0; times.len()])) as ArrayRef;
    RecordBatch::try_from_iter([("x", x), ("t", times)]).unwrap()
}

fn bind(times: &ArrayRef, time_unit: Option<TimeUnit>) -> Result<Binding, clickcast_record::Error> {
    Binding::new(&schema(time_unit), &Need { times: true, ..Need::default() }, &batch(times.clone()).schema())
}

fn read(times: ArrayRef, time_unit: Option<TimeUnit>) -> Result<Vec<i64>, String> {
    let read = bind(&times, time_unit).and_then(|binding| binding.batch(&batch(times), 10));
    read.map(|read| read.times.unwrap().into_iter().map(Time::as_ms).collect()).map_err(|error| error.to_string())
}

fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[test]
fn dates_and_timestamps_of_every_unit_and_zone_are_one_time() {
    let day = (MONDAY_S / 86_400) as i32;
    let (late, early) = (MONDAY_MS + 1, -1);
    let columns: Vec<(ArrayRef, [i64; 2])> = vec![
        (Arc::new(TimestampSecondArray::from(vec![MONDAY_S, -1])), [MONDAY_MS, -1_000]),
        (Arc::new(TimestampMillisecondArray::from(vec![late, early])), [late, early]),
        // Finer units are rounded down, before 1970 as well.
        (Arc::new(TimestampMicrosecondArray::from(vec![late * 1_000 + 999, -1])), [late, early]),
        (Arc::new(TimestampNanosecondArray::from(vec![late * 1_000_000 + 999_999, -1])), [late, early]),
        // A zone is how a moment is shown; the moment itself is counted in UTC.
        (Arc::new(TimestampMillisecondArray::from(vec![late, early]).with_timezone("+09:00")), [late, early]),
        (Arc::new(TimestampSecondArray::from(vec![MONDAY_S, 0]).with_timezone("America/New_York")), [MONDAY_MS, 0]),
        // Small numbers are moments of early 1970, not days.
        (Arc::new(TimestampMillisecondArray::from(vec![5, 20_000])), [5, 20_000]),
        (Arc::new(Date32Array::from(vec![day, -1])), [MONDAY_MS, -Time::MS_PER_DAY]),
        (Arc::new(Date64Array::from(vec![MONDAY_MS, -Time::MS_PER_DAY])), [MONDAY_MS, -Time::MS_PER_DAY]),
    ];
    for (times, expected) in columns {
        let found = times.data_type().clone();
        // A column that names its own unit needs none of the schema's.
        for time_unit in [None, Some(TimeUnit::Seconds)] {
            assert_eq!(read(times.clone(), time_unit).unwrap(), expected, "{found}, {time_unit:?}");
        }
    }
}

#[test]
fn integers_are_read_in_the_unit_that_the_schema_gives() {
    use TimeUnit::{Days, Microseconds, Milliseconds, Nanoseconds, Seconds};
    for (time_unit, values, expected) in [
        (Days, [20_458, -1], [MONDAY_MS, -Time::MS_PER_DAY]),
        (Seconds, [MONDAY_S, -1], [MONDAY_MS, -1_000]),
        (Milliseconds, [MONDAY_MS, -1], [MONDAY_MS, -1]),
        (Microseconds, [MONDAY_MS * 1_000, -1], [MONDAY_MS, -1]),
        (Nanoseconds, [MONDAY_MS * 1_000_000, -1], [MONDAY_MS, -1]),
        // What could not be inferred, a counter, is what the schema says.
        (Seconds, [999_999, 0], [999_999_000, 0]),
    ] {
        assert_eq!(read(integers(&values), Some(time_unit)).unwrap(), expected, "{time_unit:?}");
    }
}

#[test]
fn integers_of_no_given_unit_are_read_by_their_magnitude() {
    for (values, expected) in [
        (vec![20_458, 0, -1], vec![MONDAY_MS, 0, -Time::MS_PER_DAY]),
        (vec![MONDAY_S, 100_000_000], vec![MONDAY_MS, 100_000_000_000]),
        (vec![-MONDAY_S, 99_999_999_999], vec![-MONDAY_MS, 99_999_999_999_000]),
        (vec![MONDAY_MS, 100_000_000_000], vec![MONDAY_MS, 100_000_000_000]),
        (vec![MONDAY_MS * 1_000], vec![MONDAY_MS]),
        (vec![MONDAY_MS * 1_000_000], vec![MONDAY_MS]),
        (vec![], vec![]),
    ] {
        assert_eq!(read(integers(&values), None).unwrap(), expected, "{values:?}");
    }
    let seconds = [MONDAY_S as u32; 2];
    assert_eq!(read(Arc::new(UInt32Array::from(seconds.to_vec())), None).unwrap(), [MONDAY_MS; 2]);
    assert_eq!(read(Arc::new(Int32Array::from(vec![MONDAY_S as i32])), None).unwrap(), [MONDAY_MS]);
    // All 64 bits count: a float would lose the last of these digits.
    let nanoseconds = vec![(MONDAY_MS + 1) as u64 * 1_000_000 - 1];
    assert_eq!(read(Arc::new(UInt64Array::from(nanoseconds)), None).unwrap(), [MONDAY_MS]);
}

#[test]
fn a_time_that_is_no_moment_is_refused_with_its_row() {
    let second_row = |values: Vec<i64>| integers(&values);
    let missing: ArrayRef = Arc::new(Int64Array::from(vec![Some(MONDAY_S), None]));
    let missing_timestamp: ArrayRef = Arc::new(TimestampSecondArray::from(vec![None, Some(MONDAY_S)]));
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]));
    let seconds = Some(TimeUnit::Seconds);
    for (times, time_unit, said) in [
        (missing, None, "`t`, row 12: the time is missing"),
        (missing_timestamp, None, "`t`, row 11: the time is missing"),
        (second_row(vec![0, i64::MAX]), seconds, "row 12: the time 9223372036854775807 in seconds is out of range"),
        (far, None, "row 12: the time 9223372036854775807 in seconds is out of range"),
        (huge.clone(), None, "row 11: the time 18446744073709551615 in nanoseconds is out of range"),
        (huge, Some(TimeUnit::Microseconds), "row 11: the time 18446744073709551615 in microseconds is out of range"),
        (integers(&[20_260_105]), None, "row 11: the unit of the time 20260105 is ambiguous; add `time_unit = \"s\"`"),
        (second_row(vec![MONDAY_S, 0]), None, "row 12: the time 0 does not look like seconds since 1970"),
        (second_row(vec![MONDAY_S, MONDAY_MS]), None, "does not look like seconds since 1970"),
        (second_row(vec![1, 100_000]), None, "the time 100000 does not look like days since 1970"),
        (Arc::new(StringArray::from(vec!["2026-01-05"])), None, "`t` is text, but the schema says a time"),
        (Arc::new(Float64Array::from(vec![1.5])), None, "`t` is Float64, but the schema says a time"),
    ] {
        let error = read(times, time_unit).unwrap_err();
        assert!(error.contains(said), "{said} / {error}");
    }
}

#[test]
fn batches_and_files_can_not_differ_in_the_unit_of_their_times() {
    let (seconds, milliseconds) = (integers(&[MONDAY_S, MONDAY_S + 1]), integers(&[MONDAY_MS, MONDAY_MS + 1]));
    let read = |binding: &Binding, times: &ArrayRef| binding.batch(&batch(times.clone()), 0);
    // Batches of one file.
    let file = bind(&seconds, None).unwrap();
    assert_eq!(read(&file, &seconds).unwrap().times.unwrap()[0], Time::from_ms(MONDAY_MS));
    assert!(read(&file, &milliseconds).unwrap_err().to_string().contains("does not look like seconds"));
    // An empty batch decides nothing.
    let file = bind(&seconds, None).unwrap();
    read(&file, &integers(&[])).unwrap();
    read(&file, &milliseconds).unwrap();
    // Files of one data set; those of another are free.
    let shared = InferredTimeUnit::default();
    let [first, second] = [(); 2].map(|()| bind(&seconds, None).unwrap().with_time_unit(&shared));
    read(&first, &seconds).unwrap();
    assert!(read(&second, &milliseconds).is_err());
    read(&bind(&seconds, None).unwrap(), &milliseconds).unwrap();
    // A timestamp beside integers has a unit of its own.
    let timestamps: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![MONDAY_MS]));
    let third = bind(&timestamps, None).unwrap().with_time_unit(&shared);
    assert_eq!(read(&third, &timestamps).unwrap().times.unwrap(), [Time::from_ms(MONDAY_MS)]);
}

#[test]
fn a_day_begins_at_midnight_in_utc() {
    for (ms, day) in [(0, 0), (-1, -1), (Time::MS_PER_DAY - 1, 0), (Time::MS_PER_DAY, 1), (MONDAY_MS, 20_458)] {
        assert_eq!(Time::from_ms(ms).day(), day);
    }
}
