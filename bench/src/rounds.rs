//! Interleaved rounds over the processes of all settings, and their medians.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::bodies::{Compared, Workload};
use crate::child::Pair;
use crate::report::{Report, Row};
use crate::settings::{self, Setting};
use crate::{Failed, Plan};

/// A setting's process, waiting for work.
struct Process {
    setting: Setting,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(setting: Setting, workload: Workload) -> Result<Self, Failed> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", setting.name, workload.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
        Ok(Self {
            setting,
            child,
            orders,
            answers,
        })
    }

    fn run(&mut self, workload: Workload, threads: usize) -> Result<Pair, Failed> {
        let orders = self.orders.as_mut().ok_or("the process has been stopped")?;
        writeln!(orders, "{} {} {threads}", workload.calls, workload.piece)?;
        orders.flush()?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(format!("the process of `{}` ended early", self.setting.name).into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        _ = self.child.wait();
    }
}

/// Returns the median.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// Measures `workload` with every setting, with one thread and with two.
pub(crate) fn measure(plan: &Plan, workload: Workload, report: &mut Report) -> Result<(), Failed> {
    let chosen: Vec<Setting> = settings::all()
        .into_iter()
        .filter(|setting| plan.includes(setting.name) && workload.compared.has(setting.name))
        .collect();
    let threads: &[usize] = if workload.compared == Compared::All {
        &[1, 2]
    } else {
        &[1]
    };
    let mut measured: BTreeMap<(usize, &'static str), Vec<Pair>> = BTreeMap::new();
    let mut order = Order(0x9e37_79b9_7f4a_7c15);
    for restart in 1..=plan.restarts {
        report.progress(&format!(
            "{}: {restart} of {}",
            workload.name, plan.restarts
        ))?;
        let mut processes = chosen
            .iter()
            .map(|setting| Process::start(*setting, workload))
            .collect::<Result<Vec<_>, _>>()?;
        for process in &mut processes {
            process.run(workload, 1)?;
        }
        for _ in 0..plan.rounds {
            for threads in threads {
                order.shuffle(&mut processes);
                for process in &mut processes {
                    let pair = process.run(workload, *threads)?;
                    measured
                        .entry((*threads, process.setting.name))
                        .or_default()
                        .push(pair);
                }
            }
        }
    }
    for threads in threads {
        let rows = chosen.iter().filter_map(|setting| {
            let pairs = measured.get(&(*threads, setting.name))?;
            Some((workload.key(*threads, setting.name), Row::new(pairs)))
        });
        let title = match threads {
            1 => format!("{}, one thread", workload.name),
            _ => format!(
                "{}, {threads} threads at once, each call by its own thread's clocks",
                workload.name
            ),
        };
        report.add(&title, rows.collect())?;
    }
    Ok(())
}

/// A small random number generator for the order of rounds.
struct Order(u64);

impl Order {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(0);
            values.swap(last, other);
        }
    }
}
