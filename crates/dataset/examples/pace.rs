//! How fast files are read here: `pace URI SCHEMA [THREADS]`; rows a second, by wall and by CPU time, and peak memory.
#![allow(clippy::print_stdout, reason = "printing is what it does")]

use std::error::Error;
use std::time::Instant;

use clickcast_dataset::{Scan, Step, discover, scan};
use clickcast_record::{Need, Schema};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(uri), Some(schema)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pace URI SCHEMA [THREADS]".into());
    };
    let threads = arguments.next().map_or(Ok(1), |threads| threads.parse())?;
    let schema = Schema::from_toml(&std::fs::read_to_string(schema)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let inputs = runtime.block_on(discover(&uri))?;
    let (need, handle) = (Need::default(), runtime.handle());
    let scanned = Scan { inputs: &inputs, schema: &schema, need: &need, threads, batches_max: 6 * threads, handle };
    let (mut rows, start, cpu) = (0_usize, Instant::now(), cpu_s()?);
    scan(
        scanned,
        |batch| batch.rows,
        |step| {
            if let Step::Rows(batch_rows) = step {
                rows += batch_rows;
            }
            Ok::<(), clickcast_dataset::Error>(())
        },
    )?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_s()? - cpu);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{rows} rows: {:.0} rows/s, {:.0} rows/CPU s, {peak}", rows as f64 / wall, rows as f64 / cpu);
    Ok(())
}

/// CPU time of this process: user and system ticks, of which Linux has 100 a second.
fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}
