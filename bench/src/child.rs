//! The process of one setting: installs it, then runs batches of calls on demand and says what they cost.
//!
//! The clocks run only while calls are made; what the setting does afterwards on its own threads is waited for between
//! batches, and the number of spans that arrived is checked.

use std::hint::black_box;
use std::io::{self, BufRead as _, Write as _};
use std::ops::{AddAssign, Range};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::bodies::{Body, Empty, Failure};
use crate::settings::{self, Installed, Setting, Spans};

/// Calls between two waits: fewer than the queues of every setting hold.
const BATCH: usize = 20_000;
/// Untimed calls before each batch.
const WARM_UP: usize = 1_000;
const COLLECTION: &str = "articles";

/// What calls cost, summed over threads.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) calls: usize,
    /// Wall clock.
    pub(crate) wall_ns: u64,
    /// CPU of the calling threads.
    pub(crate) cpu_ns: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.wall_ns += other.wall_ns;
        self.cpu_ns += other.cpu_ns;
    }
}

/// A clock of this thread or process, in nanoseconds.
pub(crate) fn cpu_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// `child SETTING WORKLOAD`: answers each line `CALLS THREADS` with a [`Cost`].
pub(crate) fn serve(args: &[String]) -> Result<(), Failed> {
    let [setting, workload] = args else { return Err("`child` wants a setting and a workload".into()) };
    let setting = settings::named(setting)?;
    #[cfg(feature = "store")]
    if workload != "empty" {
        use crate::bodies::{Batch, Get, Put, Scan, Store};
        use crate::calls::{Way, bare, percolate_batch, percolate_put, percolate_scan};
        let store = Store::open()?;
        let bare_only = setting.way == Way::Bare;
        return match workload.as_str() {
            "get" => answer(&setting, &Get(&store), setting.way.get()),
            "put" => answer(&setting, &Put(&store), if bare_only { bare } else { percolate_put }),
            "scan" => answer(&setting, &Scan(&store), if bare_only { bare } else { percolate_scan }),
            "batch" => answer(&setting, &Batch(&store), if bare_only { bare } else { percolate_batch }),
            _ => Err(format!("no workload is called `{workload}`").into()),
        };
    }
    if workload != "empty" {
        return Err(format!("no workload is called `{workload}`; the feature `store` adds RocksDB's").into());
    }
    answer(&setting, &Empty, setting.way.get())
}

type Function<B> = fn(&B, &str, usize) -> Result<<B as Body>::Out, Failure>;

fn answer<B: Body>(setting: &Setting, body: &B, function: Function<B>) -> Result<(), Failed> {
    let installed = setting.install()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (calls, threads) = line.split_once(' ').ok_or("a line is `CALLS THREADS`")?;
        let cost = run(setting, &installed, body, function, (calls.parse()?, threads.parse()?))?;
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &cost)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

fn run<B: Body>(
    setting: &Setting,
    installed: &Installed,
    body: &B,
    function: Function<B>,
    (calls, threads): (usize, usize),
) -> Result<Cost, Failed> {
    let mut cost = Cost::default();
    let mut left = calls;
    while left > 0 {
        let batch = left.min(BATCH) / threads;
        left = left.saturating_sub(batch * threads);
        let before = installed.spans.count();
        cost += if threads == 1 {
            timed(setting, body, function, batch, || installed.flush())?
        } else {
            together(setting, installed, body, function, (batch, threads))?
        };
        installed.flush()?;
        check(setting, installed.spans.count() - before, (batch + WARM_UP.min(batch)) * threads)?;
    }
    Ok(cost)
}

fn repeat<B: Body>(body: &B, function: Function<B>, turns: Range<usize>) -> Result<(), Failure> {
    for turn in turns {
        black_box(function(body, black_box(COLLECTION), turn)?);
    }
    Ok(())
}

/// One thread's batch. `ready` is called between warming up and the measured calls.
fn timed<B: Body>(
    setting: &Setting,
    body: &B,
    function: Function<B>,
    batch: usize,
    ready: impl FnOnce() -> Result<(), Failed>,
) -> Result<Cost, Failed> {
    let mut failed = None;
    let mut calls = |turns| failed = repeat(body, function, turns).err().or(failed.take());
    setting.around.run(WARM_UP.min(batch), &mut calls);
    ready()?;
    let (cpu, wall) = (cpu_ns(ClockId::ThreadCPUTime), Instant::now());
    setting.around.run(batch, &mut calls);
    let wall_ns = u64::try_from(wall.elapsed().as_nanos())?;
    let cpu_ns = cpu_ns(ClockId::ThreadCPUTime) - cpu;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Cost { calls: batch, wall_ns, cpu_ns }),
    }
}

fn together<B: Body>(
    setting: &Setting,
    installed: &Installed,
    body: &B,
    function: Function<B>,
    (batch, threads): (usize, usize),
) -> Result<Cost, Failed> {
    let (warm, start) = (Barrier::new(threads), Barrier::new(threads));
    let costs: Vec<Result<Cost, Failed>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    timed(setting, body, function, batch, || {
                        let is_first = warm.wait().is_leader();
                        let flushed = if is_first { installed.flush() } else { Ok(()) };
                        start.wait();
                        flushed
                    })
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    });
    let mut sum = Cost::default();
    for cost in costs {
        sum += cost?;
    }
    Ok(sum)
}

/// Nothing was lost, and nothing was recorded that should not be.
fn check(setting: &Setting, spans: u64, calls: usize) -> Result<(), Failed> {
    let calls = calls as u64;
    let is_right = match setting.spans {
        Spans::None => spans == 0,
        Spans::OnePercent => spans < calls / 25 + 20,
        Spans::All => spans == calls,
    };
    if is_right { Ok(()) } else { Err(format!("`{}` left {spans} spans of {calls} calls", setting.name).into()) }
}

/// `count SETTING CALLS`: makes that many calls with an empty body, for a tool that counts instructions.
pub(crate) fn count(args: &[String]) -> Result<(), Failed> {
    let [setting, count] = args else { return Err("`count` wants a setting and a number of calls".into()) };
    let setting = settings::named(setting)?;
    let installed = setting.install()?;
    let mut failed = None;
    // Without this crate's clocks: how they are found in the process is not for valgrind.
    let mut calls = |turns| failed = repeat(&Empty, setting.way.get(), turns).err().or(failed.take());
    setting.around.run(WARM_UP, &mut calls);
    // Clocks that are calibrated over the first calls.
    std::thread::sleep(Duration::from_millis(100));
    setting.around.run(WARM_UP, &mut calls);
    counted(setting, count.parse()?, &mut calls);
    installed.flush()?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// What the tool counts: named to it.
#[inline(never)]
fn counted(setting: Setting, count: usize, calls: &mut dyn FnMut(Range<usize>)) {
    setting.around.run(count, calls);
}
