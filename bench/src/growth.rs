//! How the cost of a call grows with the number of series, threads, nested calls and attributes, and
//! how many spans a second are delivered before some are dropped.
//!
//! Each line of a plot is measured in a process of its own, with an empty body. `plot.rs` draws them
//! into `docs/plots`.

use std::hint::black_box;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use cpu_time::{ProcessTime, ThreadTime};
use percolate_core::db_op;

use crate::bodies::{Body as _, Empty};
use crate::calls::{Found, Way};
use crate::plot::{Line, Plot};
use crate::report::{Report, rounded};
use crate::rounds::median;
use crate::settings::{self, Around, Installed, Setting};
use crate::{Failed, Plan};

/// Calls of one measurement. Less than the queue of spans.
const CALLS: usize = 20_000;
/// Measurements of one point, of which the median counts.
const ROUNDS: usize = 15;

const UNSAMPLED: &str = "percolate_unsampled_parent";
const SAMPLED: &str = "percolate_100pct_in_parent";

/// What grows.
#[derive(Debug, Clone, Copy)]
struct Curve {
    name: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    points: &'static [usize],
    lines: &'static [(&'static str, &'static str)],
}

const LINES: &[(&str, &str)] = &[(UNSAMPLED, "not sampled"), (SAMPLED, "sampled")];

const CURVES: [Curve; 5] = [
    Curve {
        name: "series",
        title: "One call, by the number of series that a thread uses in turn",
        x: "series",
        y: "CPU of one call, ns",
        points: &[1, 4, 16, 64, 256, 1_000, 2_000, 4_000, 10_000],
        lines: LINES,
    },
    Curve {
        name: "threads",
        title: "One call, by the number of threads that call the same function at once",
        x: "threads",
        y: "CPU of one call, ns",
        points: &[1, 2, 4, 16],
        lines: &[
            (UNSAMPLED, "not sampled"),
            (SAMPLED, "sampled"),
            (
                "percolate_unsampled_parent_sdk_histograms",
                "not sampled, the SDK's histograms",
            ),
        ],
    },
    Curve {
        name: "nesting",
        title: "One call, by the depth of calls inside each other",
        x: "depth",
        y: "CPU of one call, ns",
        points: &[1, 2, 4, 8, 16, 32],
        lines: LINES,
    },
    Curve {
        name: "attributes",
        title: "One call, by the number of its attributes",
        x: "attributes of the span",
        y: "CPU of one call, ns",
        points: &[3, 6, 9, 12],
        lines: LINES,
    },
    Curve {
        name: "drops",
        title: "Spans that are dropped, by the number of sampled calls a second",
        x: "calls a second",
        y: "spans dropped, %",
        points: &[
            50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000,
        ],
        lines: &[(SAMPLED, "one thread calls, an exporter counts")],
    },
];

/// Measures all curves, draws them, and compares the CPU of the whole process with the caller's.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    for curve in CURVES {
        report.progress(&format!("growth by {}", curve.name))?;
        let mut lines = Vec::new();
        for (setting, label) in curve.lines {
            if !plan.includes(setting) {
                continue;
            }
            let points: Vec<(f64, f64)> = serde_json::from_str(&child(curve.name, setting)?)?;
            let key = format!("{}_{setting}", curve.name);
            report.growth.insert(key, points.clone());
            lines.push(Line {
                label: (*label).to_owned(),
                points,
            });
        }
        let table: Vec<String> = lines.iter().flat_map(Line::rows).collect();
        report.print(curve.title, &table)?;
        Plot {
            title: curve.title,
            x: curve.x,
            y: curve.y,
            lines,
        }
        .write(curve.name)?;
    }
    report.progress("CPU of the whole process")?;
    let cost: (f64, f64) = serde_json::from_str(&child("process", UNSAMPLED)?)?;
    let lines = [
        format!("{:<44} {:>8.1} ns", "by the caller's thread", cost.0),
        format!("{:<44} {:>8.1} ns", "by the whole process", cost.1),
    ];
    report.whole_process_ns = Some(cost);
    report.print(
        "CPU of one call that is not sampled, with a collection each second",
        &lines,
    )
}

fn child(curve: &str, setting: &str) -> Result<String, Failed> {
    let out = Command::new(std::env::current_exe()?)
        .args(["curve", curve, setting])
        .stderr(Stdio::inherit())
        .output()?;
    if !out.status.success() {
        return Err(format!("the process of `{curve}` with `{setting}` failed").into());
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// `curve NAME SETTING`: prints the points of a line as JSON.
pub(crate) fn serve(args: &[String]) -> Result<(), Failed> {
    let [name, setting] = args else {
        return Err("`curve` needs a name and a setting".into());
    };
    let setting = settings::named(setting)?;
    let installed = setting.install()?;
    // Some clocks calibrate during the first calls.
    let function = Way::Percolate.get::<Empty>();
    for pause in [Duration::from_millis(100), Duration::ZERO] {
        setting.around.run(100, &mut |turns| {
            for turn in turns {
                _ = black_box(function(&Empty, black_box("articles"), turn));
            }
        });
        std::thread::sleep(pause);
    }
    installed.flush()?;
    if name == "process" {
        println_json(&whole_process(setting)?)?;
        return Ok(());
    }
    let curve = CURVES
        .into_iter()
        .find(|curve| curve.name == name)
        .ok_or_else(|| format!("unknown curve `{name}`"))?;
    let measured = Measured { setting, installed };
    let mut points = Vec::new();
    for point in curve.points {
        let cost = match name.as_str() {
            "series" => measured.by_series(*point)?,
            "threads" => measured.by_threads(*point)?,
            "nesting" => measured.by_nesting(*point)?,
            "attributes" => measured.by_attributes(*point)?,
            _ => measured.drops(*point),
        };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        points.push((*point as f64, rounded(cost, 10.0)));
    }
    println_json(&points)
}

fn println_json(value: &impl serde::Serialize) -> Result<(), Failed> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    Ok(out.write_all(b"\n")?)
}

struct Measured {
    setting: Setting,
    installed: Installed,
}

impl Measured {
    /// Returns the median CPU nanoseconds of one call, of which `run` executes a range.
    fn cost(&self, run: &mut dyn FnMut(Range<usize>)) -> Result<f64, Failed> {
        let mut costs = Vec::new();
        for round in 0..=ROUNDS {
            let cost = cost_of(self.setting.around, run)?;
            self.installed.flush()?;
            // The first round warms up.
            if round > 0 {
                costs.push(cost);
            }
        }
        Ok(median(&costs))
    }

    fn by_series(&self, series: usize) -> Result<f64, Failed> {
        let names: Vec<String> = (0..series).map(|n| format!("articles_{n}")).collect();
        let function = Way::Percolate.get::<Empty>();
        self.cost(&mut |turns| {
            for turn in turns {
                _ = black_box(function(&Empty, &names[turn % series], turn));
            }
        })
    }

    fn by_threads(&self, threads: usize) -> Result<f64, Failed> {
        let function = Way::Percolate.get::<Empty>();
        let mut costs = Vec::new();
        for _ in 0..ROUNDS {
            let start = Barrier::new(threads);
            let calls = || {
                let mut run = |turns: Range<usize>| {
                    for turn in turns {
                        _ = black_box(function(&Empty, black_box("articles"), turn));
                    }
                };
                self.setting.around.run(1_000, &mut run);
                start.wait();
                let calls = CALLS / threads;
                let cpu = ThreadTime::try_now()?;
                self.setting.around.run(calls, &mut run);
                Ok::<f64, Failed>(each(cpu.try_elapsed()?, calls))
            };
            let measured: Vec<_> = std::thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(calls)).collect();
                let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
                joined.collect()
            });
            for cost in measured {
                costs.push(cost.map_err(|_| "a thread panicked")??);
            }
            self.installed.flush()?;
        }
        Ok(median(&costs))
    }

    fn by_nesting(&self, depth: usize) -> Result<f64, Failed> {
        self.cost(&mut |turns| {
            for turn in turns.step_by(depth) {
                _ = black_box(nested("articles", depth - 1, turn));
            }
        })
    }

    fn by_attributes(&self, attributes: usize) -> Result<f64, Failed> {
        let function = match attributes {
            3 => three_attributes,
            6 => six_attributes,
            9 => nine_attributes,
            _ => twelve_attributes,
        };
        self.cost(&mut |turns| {
            for turn in turns {
                _ = black_box(function("articles", black_box(turn)));
            }
        })
    }

    /// Returns the percentage of spans that are dropped at a number of calls a second.
    fn drops(&self, calls_a_second: usize) -> f64 {
        const PIECE: usize = 100;
        const DURATION: Duration = Duration::from_secs(2);
        let function = Way::Percolate.get::<Empty>();
        let before = self.installed.spans.count();
        let mut made = 0;
        let mut run = |turns: Range<usize>| {
            for turn in turns {
                _ = black_box(function(&Empty, "articles", turn));
            }
        };
        let started = Instant::now();
        while started.elapsed() < DURATION {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small numbers"
            )]
            let due = (started.elapsed().as_secs_f64() * calls_a_second as f64) as usize;
            if made < due {
                self.setting.around.run(PIECE, &mut run);
                made += PIECE;
            } else {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        // A flush fails if spans were dropped, but still waits for the others.
        _ = self.installed.flush();
        let exported = self.installed.spans.count() - before;
        #[expect(clippy::cast_precision_loss, reason = "some million spans")]
        let lost = 100.0 * (1.0 - exported as f64 / made as f64);
        lost.max(0.0)
    }
}

/// Returns the CPU nanoseconds of one of [`CALLS`] calls.
fn cost_of(around: Around, run: &mut dyn FnMut(Range<usize>)) -> Result<f64, Failed> {
    let cpu = ThreadTime::try_now()?;
    around.run(CALLS, run);
    Ok(each(cpu.try_elapsed()?, CALLS))
}

#[expect(clippy::cast_precision_loss, reason = "some million calls")]
fn each(cpu: Duration, calls: usize) -> f64 {
    cpu.as_secs_f64() * 1e9 / calls as f64
}

/// Returns the CPU nanoseconds of one call on the thread of the caller, and in the whole process.
fn whole_process(setting: Setting) -> Result<(f64, f64), Failed> {
    const DURATION: Duration = Duration::from_secs(5);
    let function = Way::Percolate.get::<Empty>();
    let mut calls = 0;
    let (started, process, thread) = (
        Instant::now(),
        ProcessTime::try_now()?,
        ThreadTime::try_now()?,
    );
    while started.elapsed() < DURATION {
        setting.around.run(CALLS, &mut |turns| {
            for turn in turns {
                _ = black_box(function(&Empty, black_box("articles"), turn));
            }
        });
        calls += CALLS;
    }
    let (thread, process) = (thread.try_elapsed()?, process.try_elapsed()?);
    Ok((
        rounded(each(thread, calls), 10.0),
        rounded(each(process, calls), 10.0),
    ))
}

#[inline(never)]
#[db_op(get, collection)]
fn nested(collection: &str, depth: usize, turn: usize) -> Found {
    if depth == 0 {
        return Empty.run(turn).ok().flatten();
    }
    nested(collection, depth - 1, turn)
}

#[inline(never)]
#[db_op(get, collection, rows = none)]
fn three_attributes(collection: &str, turn: usize) -> Found {
    Empty.run(turn).ok().flatten()
}

#[inline(never)]
#[db_op(get, collection, namespace = "demo", fields(app.a = turn))]
fn six_attributes(collection: &str, turn: usize) -> Found {
    Empty.run(turn).ok().flatten()
}

#[inline(never)]
#[db_op(get, collection, namespace = "demo", fields(app.a = turn, app.b = turn, app.c = turn, app.d = turn))]
fn nine_attributes(collection: &str, turn: usize) -> Found {
    Empty.run(turn).ok().flatten()
}

#[inline(never)]
#[db_op(get, collection, namespace = "demo", fields(app.a = turn, app.b = turn, app.c = turn, app.d = turn, app.e = turn, app.f = turn, app.g = turn))]
fn twelve_attributes(collection: &str, turn: usize) -> Found {
    Empty.run(turn).ok().flatten()
}
