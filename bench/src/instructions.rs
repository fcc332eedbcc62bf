//! Instructions of one call on an empty body, counted by callgrind. Unlike times, they are
//! reproducible. Only the calling thread is counted, and only during the calls.

use std::process::{Command, Stdio};

use crate::report::Report;
use crate::settings;
use crate::{Failed, Plan};

const CALLS: u64 = 10_000;

/// Counts all settings. Prints a message if valgrind is not installed.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    let has_valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_valgrind {
        return report.progress("no instructions: valgrind is not installed");
    }
    report.progress("instructions")?;
    let mut lines = Vec::new();
    for setting in settings::all()
        .iter()
        .filter(|setting| plan.includes(setting.name))
    {
        let found = count(setting.name)?;
        lines.push(format!("{:<44} {found:>8}", setting.name));
        report
            .instructions
            .insert(format!("empty_{}", setting.name), found);
    }
    report.print(
        "instructions of one call on the calling thread, empty body",
        &lines,
    )
}

/// Returns the instructions of the calls on the calling thread.
fn count(setting: &str) -> Result<u64, Failed> {
    let profile =
        std::env::temp_dir().join(format!("percolate-bench-{}.callgrind", std::process::id()));
    let out = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*child*counted*",
        ])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["count", setting, &CALLS.to_string()])
        .output()?;
    if !out.status.success() {
        return Err(format!(
            "valgrind with `{setting}` failed: {}",
            String::from_utf8_lossy(&out.stderr)
        )
        .into());
    }
    let text = std::fs::read_to_string(&profile)?;
    std::fs::remove_file(&profile)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals:"))
        .ok_or("the profile has no total")?;
    Ok(total.trim().parse::<u64>()? / CALLS)
}
