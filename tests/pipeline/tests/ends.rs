//! The end of a program: with a dead collector, without threads, with an output that is not read, and
//! with the longest time limits. Each scenario is an ignored test that runs in a child process.
#![cfg(unix)]

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use percolate_core::db_op;
use percolate_core::otel::{
    Environment, Exporter, Otlp, OtlpProtocol, Telemetry, TelemetryBuilder,
};
use percolate_pipeline_tests::{Answer, Collector, dead_endpoint};

/// Set for child processes.
const CHILD: &str = "PERCOLATE_END_CHILD";
/// The exit code of a child in which any thread panicked, as with `panic = "abort"`.
const PANICKED: i32 = 86;
/// Far longer than any end may take.
const HANG: Duration = Duration::from_secs(20);

#[db_op(get, cf)]
fn get(cf: &str) -> Option<usize> {
    Some(cf.len())
}

/// Returns the command of a child that runs an ignored test, with an argument for it.
fn command(test: &str, argument: &str) -> Command {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, argument);
    command
}

/// Waits for the end of a child, and ends it if it hangs.
#[track_caller]
fn ends(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + HANG;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().expect("it runs");
            child.wait().expect("a child");
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the argument of the scenario, and makes every panic of any thread end the process.
/// Returns `None` if it was not started by another test.
fn scenario() -> Option<String> {
    let argument = std::env::var(CHILD).ok()?;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::exit(PANICKED);
    }));
    Some(argument)
}

fn pipeline() -> TelemetryBuilder {
    Telemetry::builder().environment(Environment::empty())
}

#[test]
#[ignore = "started by the test below"]
fn dead_collector_child() {
    let Some(argument) = scenario() else { return };
    let (protocol, millis) = argument.split_once(' ').expect("two words");
    let protocol = match protocol {
        "grpc" => OtlpProtocol::Grpc,
        _ => OtlpProtocol::HttpProtobuf,
    };
    let otlp = Otlp::to(dead_endpoint()).protocol(protocol);
    let guard = pipeline()
        .otlp(otlp)
        .logs([Exporter::Otlp])
        .shutdown_timeout(Duration::from_millis(millis.parse().expect("a number")))
        .install()
        .expect("it is the first");
    for _ in 0..2000 {
        get("articles");
    }
    drop(guard);
    // The program goes on for a moment.
    std::thread::sleep(Duration::from_millis(150));
    std::process::exit(0);
}

#[test]
fn the_end_of_a_program_with_a_dead_collector_does_not_panic() {
    for round in 0..12 {
        for protocol in ["grpc", "http"] {
            let millis = [0, 1, 30, 260, 400][round % 5];
            let mut child = command("dead_collector_child", &format!("{protocol} {millis}"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a child");
            let status = ends(&mut child);
            let output = child.wait_with_output().expect("a child");
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                status.code(),
                Some(0),
                "round {round} {protocol} {millis}: {output}"
            );
        }
    }
}

#[test]
#[ignore = "started by the test below"]
fn no_thread_child() {
    let Some(endpoint) = scenario() else { return };
    let guard = pipeline()
        .otlp(Otlp::to(endpoint))
        .logs([Exporter::Otlp])
        .install()
        .expect("it is the first");
    // The limit holds for new threads and processes of this user.
    let limited = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--nproc=1:1"])
        .status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit");
    let refused = std::thread::Builder::new().spawn(|| {});
    assert!(refused.is_err(), "a thread was started");
    for _ in 0..100 {
        get("articles");
    }
    guard.force_flush(HANG).expect_err("metrics need a thread");
    assert_eq!(guard.status().traces[0].counts.exported, 100);
    for _ in 0..100 {
        get("articles");
    }
    guard.shutdown(HANG).expect("the calling thread exports");
    let status = guard.status();
    assert_eq!(status.traces[0].counts.exported, 200, "{status:?}");
    assert_eq!(status.lost_spans(), 0, "{status:?}");
    std::process::exit(0);
}

#[test]
fn without_new_threads_the_calling_thread_exports() {
    /// Root has no limit of threads.
    const NOBODY: u32 = 65_534;
    let collector = Collector::grpc(Answer::Accept);
    let mut command = command("no_thread_child", &collector.endpoint());
    let mut child = command
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    if child.is_err() {
        // Only root can change the user.
        child = self::command("no_thread_child", &collector.endpoint())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
    }
    let mut child = child.expect("a child");
    let status = ends(&mut child);
    let mut output = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut output).expect("text");
    assert_eq!(status.code(), Some(0), "{output}");
    assert_eq!(collector.spans().len(), 200);
    assert_ne!(collector.metrics(), []);
}

#[test]
#[ignore = "started by the test below"]
fn unread_output_child() {
    let Some(output) = scenario() else { return };
    let builder = pipeline().shutdown_timeout(Duration::from_millis(300));
    let guard = match output.as_str() {
        "stdout" => builder.console_writer(std::io::stdout()).install(),
        _ => builder.install(),
    };
    let guard = guard.expect("it is the first");
    // Far more than a pipe holds.
    for _ in 0..20_000 {
        get("articles");
    }
    // The diagnostics have the same pipe.
    std::thread::spawn(|| {
        for _ in 0..2000 {
            tracing::warn!("a line of the program, which fills the pipe of the diagnostics");
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    drop(guard);
    let took = started.elapsed();
    std::process::exit(if took < Duration::from_secs(3) { 0 } else { 3 });
}

#[test]
fn a_pipe_that_is_not_read_does_not_delay_the_end() {
    for output in ["stderr", "stdout"] {
        let mut child = command("unread_output_child", output)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        let status = ends(&mut child);
        assert_eq!(status.code(), Some(0), "{output}");
    }
}

#[test]
#[ignore = "started by the test below"]
fn longest_limits_child() {
    let Some(endpoint) = scenario() else { return };
    let guard = pipeline()
        .otlp(Otlp::to(endpoint).timeout(Duration::MAX))
        .logs([Exporter::Otlp])
        .traces([Exporter::Otlp, Exporter::Console])
        .console_writer(std::io::sink())
        .console_incomplete_after(Duration::MAX)
        .batch_delay(Duration::MAX)
        .export_timeout(Duration::MAX)
        .metric_interval(Duration::MAX)
        .shutdown_timeout(Duration::MAX)
        .slow_threshold(Duration::MAX)
        .install()
        .expect("it is the first");
    get("articles");
    guard.force_flush(Duration::MAX).expect("it accepts");
    get("articles");
    guard.shutdown(Duration::MAX).expect("it accepts");
    drop(guard);
    let guard = pipeline()
        .shutdown_timeout(Duration::MAX)
        .install()
        .expect("the other one was shut down");
    drop(guard);
    std::process::exit(0);
}

#[test]
fn the_longest_limits_do_not_panic() {
    let collector = Collector::grpc(Answer::Accept);
    let mut child = command("longest_limits_child", &collector.endpoint())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let status = ends(&mut child);
    let output = child.wait_with_output().expect("a child");
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(status.code(), Some(0), "{output}");
    assert_eq!(collector.spans().len(), 2);
}

#[test]
#[ignore = "started by the test below"]
fn delay_of_zero_child() {
    let Some(endpoint) = scenario() else { return };
    let environment: Environment = [
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "0"),
    ]
    .into_iter()
    .collect();
    let guard = Telemetry::builder()
        .environment(environment)
        .otlp(Otlp::to(endpoint))
        .logs([Exporter::Otlp])
        .install()
        .expect("it is the first");
    get("articles");
    let deadline = Instant::now() + HANG / 2;
    while guard.status().traces[0].counts.exported < 1 {
        assert!(Instant::now() < deadline, "it is exported without a flush");
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = processor_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_ticks() - before;
    // One tick is 10 ms.
    assert!(used < 30, "{used} ticks of 100");
    drop(guard);
    std::process::exit(0);
}

/// Returns the time of the processors that this process has used.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit_once(") ").expect("a name").1;
    let fields = fields.split(' ').skip(11).take(2);
    fields
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum()
}

#[cfg(target_os = "linux")]
#[test]
fn a_delay_of_zero_does_not_use_a_processor() {
    let collector = Collector::grpc(Answer::Accept);
    let mut child = command("delay_of_zero_child", &collector.endpoint())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let status = ends(&mut child);
    let output = child.wait_with_output().expect("a child");
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(status.code(), Some(0), "{output}");
}
