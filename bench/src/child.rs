//! The process of one setting: installs it, runs batches of calls on request, and prints their
//! cost.
//!
//! Bare and instrumented calls alternate in pieces of a thousand, on the same data and in the same
//! process, because the memory layout changes a call of RocksDB by several percent between
//! processes. After each round the process waits for the setting's own threads and checks the
//! number of exported spans.

use std::hint::black_box;
use std::io::{self, BufRead as _, Write as _};
use std::ops::Range;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::bodies::{Body, Empty, Failure};
use crate::calls::bare;
use crate::rounds::median;
use crate::settings::{self, Around, Installed, Setting, Spans};

/// Warm-up calls, which are not counted.
const WARM_UP: usize = 1_000;
/// The collection of all calls.
pub(crate) const COLLECTION: &str = "articles";

/// The cost of one call in nanoseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// By the wall clock.
    pub(crate) wall: f64,
    /// By the CPU clock of the calling thread.
    pub(crate) cpu: f64,
}

/// The costs of the bare and the instrumented call.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) bare: Cost,
    pub(crate) setting: Cost,
}

/// `child SETTING WORKLOAD`: answers each line `CALLS PIECE THREADS` with a [`Pair`].
pub(crate) fn serve(args: &[String]) -> Result<(), Failed> {
    let [setting, workload] = args else {
        return Err("`child` needs a setting and a workload".into());
    };
    let setting = settings::named(setting)?;
    #[cfg(feature = "store")]
    if let Some(operation) = workload.strip_prefix(crate::storage::PREFIX) {
        return crate::storage::serve(&setting, operation);
    }
    #[cfg(feature = "store")]
    if workload != "empty" {
        use crate::bodies::{Batch, Get, Put, Scan, Store};
        use crate::calls::{Way, percolate_batch, percolate_put, percolate_scan};
        let store = Store::open()?;
        let is_bare = setting.way == Way::Bare;
        return match workload.as_str() {
            "get" => answer(&setting, &Get(&store), setting.way.get()),
            "put" => answer(
                &setting,
                &Put(&store),
                if is_bare { bare } else { percolate_put },
            ),
            "scan" => answer(
                &setting,
                &Scan(&store),
                if is_bare { bare } else { percolate_scan },
            ),
            "batch" => answer(
                &setting,
                &Batch(&store),
                if is_bare { bare } else { percolate_batch },
            ),
            _ => Err(format!("unknown workload `{workload}`").into()),
        };
    }
    if workload != "empty" {
        return Err(
            format!("unknown workload `{workload}`; the feature `store` adds RocksDB's").into(),
        );
    }
    answer(&setting, &Empty, setting.way.get())
}

pub(crate) type Function<B> = fn(&B, &str, usize) -> Result<<B as Body>::Out, Failure>;

/// Executes the requests from standard input.
pub(crate) fn answer<B: Body>(
    setting: &Setting,
    body: &B,
    function: Function<B>,
) -> Result<(), Failed> {
    let measured = Measured {
        setting,
        installed: setting.install()?,
        body,
        function,
    };
    for line in io::stdin().lock().lines() {
        let line = line?;
        let order: Vec<usize> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [calls, piece, threads] = order[..] else {
            return Err("a line is `CALLS PIECE THREADS`".into());
        };
        let pair = measured.round(calls / threads, piece, threads)?;
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &pair)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

fn repeat<B: Body>(body: &B, function: Function<B>, turns: Range<usize>) -> Result<(), Failure> {
    for turn in turns {
        black_box(function(body, black_box(COLLECTION), turn)?);
    }
    Ok(())
}

/// The workload and the setting.
struct Measured<'a, B: Body> {
    setting: &'a Setting,
    installed: Installed,
    body: &'a B,
    function: Function<B>,
}

/// The cost of each piece.
#[derive(Default)]
struct Pieces {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Pieces {
    fn median(&self) -> Cost {
        Cost {
            wall: median(&self.wall),
            cpu: median(&self.cpu),
        }
    }

    fn extend(&mut self, other: Self) {
        self.wall.extend(other.wall);
        self.cpu.extend(other.cpu);
    }
}

impl<B: Body> Measured<'_, B> {
    /// Runs `calls` calls on each thread, with bare and instrumented pieces alternating.
    fn round(&self, calls: usize, piece: usize, threads: usize) -> Result<Pair, Failed> {
        let before = self.installed.spans.count();
        let (mut bare, mut setting) = (Pieces::default(), Pieces::default());
        let start = Barrier::new(threads);
        let run = || {
            self.piece(self.function, self.setting.around, piece)?;
            start.wait();
            self.pieces(calls / piece, piece)
        };
        let measured: Vec<Result<_, Failed>> = if threads == 1 {
            vec![run()]
        } else {
            std::thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                let join = |thread: ScopedJoinHandle<'_, _>| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err("a thread panicked".into()))
                };
                running.into_iter().map(join).collect()
            })
        };
        for measured in measured {
            let (of_bare, of_setting) = measured?;
            bare.extend(of_bare);
            setting.extend(of_setting);
        }
        self.installed.flush()?;
        check(
            self.setting,
            self.installed.spans.count() - before,
            (calls / piece + 1) * piece * threads,
        )?;
        Ok(Pair {
            bare: bare.median(),
            setting: setting.median(),
        })
    }

    fn pieces(&self, count: usize, piece: usize) -> Result<(Pieces, Pieces), Failed> {
        let (mut of_bare, mut of_setting) = (Pieces::default(), Pieces::default());
        for _ in 0..count {
            for (function, around, pieces) in [
                (bare as Function<B>, Around::Nothing, &mut of_bare),
                (self.function, self.setting.around, &mut of_setting),
            ] {
                let cost = self.piece(function, around, piece)?;
                pieces.wall.push(cost.wall);
                pieces.cpu.push(cost.cpu);
            }
        }
        Ok((of_bare, of_setting))
    }

    fn piece(&self, function: Function<B>, around: Around, calls: usize) -> Result<Cost, Failed> {
        timed(calls, || {
            let mut failed = None;
            let mut run =
                |turns| failed = repeat(self.body, function, turns).err().or(failed.take());
            around.run(calls, &mut run);
            failed.map_or(Ok(()), Err)
        })
    }
}

/// Returns the cost per call of the `calls` calls that `run` executes.
pub(crate) fn timed(
    calls: usize,
    run: impl FnOnce() -> Result<(), Failed>,
) -> Result<Cost, Failed> {
    let (cpu, wall) = (ThreadTime::try_now()?, Instant::now());
    run()?;
    let (wall, cpu) = (wall.elapsed(), cpu.try_elapsed()?);
    #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
    let each = |taken: Duration| taken.as_secs_f64() * 1e9 / calls as f64;
    Ok(Cost {
        wall: each(wall),
        cpu: each(cpu),
    })
}

/// Checks that the expected number of spans was exported.
fn check(setting: &Setting, spans: u64, calls: usize) -> Result<(), Failed> {
    let calls = calls as u64;
    let is_right = match setting.spans {
        Spans::None => spans == 0,
        Spans::OnePercent => spans < calls / 25 + 20,
        Spans::All => spans == calls,
    };
    if is_right {
        Ok(())
    } else {
        Err(format!(
            "`{}` exported {spans} spans for {calls} calls",
            setting.name
        )
        .into())
    }
}

/// `count SETTING CALLS`: runs the calls with an empty body, for a tool that counts instructions.
pub(crate) fn count(args: &[String]) -> Result<(), Failed> {
    let [setting, count] = args else {
        return Err("`count` needs a setting and a number of calls".into());
    };
    let setting = settings::named(setting)?;
    let installed = setting.install()?;
    let mut failed = None;
    // Without this crate's clocks, which valgrind cannot run.
    let mut calls = |turns| {
        failed = repeat(&Empty, setting.way.get(), turns)
            .err()
            .or(failed.take());
    };
    setting.around.run(WARM_UP, &mut calls);
    // Some clocks calibrate during the first calls.
    std::thread::sleep(Duration::from_millis(100));
    setting.around.run(WARM_UP, &mut calls);
    counted(setting, count.parse()?, &mut calls);
    installed.flush()?;
    failed.map_or(Ok(()), Err)
}

/// The function whose instructions the tool counts, by name.
#[inline(never)]
fn counted(setting: Setting, count: usize, calls: &mut dyn FnMut(Range<usize>)) {
    setting.around.run(count, calls);
}
