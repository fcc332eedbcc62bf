//! A writing process is killed many times at random moments, with the same database.
//! `PERCOLATE_KILLS` sets how often.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::load::{self, Acknowledged, Random};

const DIRECTORY: &str = "PERCOLATE_KILLS_DIRECTORY";
const FIRST: &str = "PERCOLATE_KILLS_FIRST";

/// After this number of kills, the test goes on with a new database, because each check takes longer
/// than the one before.
const KILLS_OF_A_DATABASE: u64 = 20;

/// The process that is killed. Does nothing unless the test below started it.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let db = load::open(Path::new(&directory)).unwrap();
    for number in load::number(FIRST, 1).. {
        load::step(&db, number, load::acknowledge).unwrap();
    }
}

/// Starts a child process, and kills it a few milliseconds after it has acknowledged `writes`
/// writes.
fn run_and_kill(directory: &Path, first: u64, writes: u64, acknowledged: &mut Acknowledged) {
    let mut process = load::child("kills::child")
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < writes {
        let line = lines
            .next()
            .expect("the child should live until it is killed")
            .unwrap();
        acknowledged.read(&line);
        seen += u64::from(line.contains("done "));
    }
    std::thread::sleep(std::time::Duration::from_micros(writes * 977 % 7_000));
    process.kill().unwrap();
    process.wait().unwrap();
    lines
        .map_while(Result::ok)
        .filter(|line| line.ends_with(|last: char| last.is_ascii_digit()))
        .for_each(|line| {
            acknowledged.read(&line);
        });
}

#[test]
fn acknowledged_writes_survive_every_kill() {
    let mut random = Random::new(0x5eed);
    let mut kills = load::number("PERCOLATE_KILLS", KILLS_OF_A_DATABASE);
    while kills > 0 {
        let of_this = kills.min(KILLS_OF_A_DATABASE);
        kill_repeatedly(of_this, &mut random);
        kills -= of_this;
    }
}

fn kill_repeatedly(kills: u64, random: &mut Random) {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut first = 1;
    for _ in 0..kills {
        run_and_kill(directory.path(), first, random.below(40), &mut acknowledged);
        // An unacknowledged write may be in the database, so the next child uses other numbers.
        let tried = first.max(acknowledged.last() + 1);
        first = tried + 1;
        let db = load::open(directory.path()).unwrap();
        load::check(&db, &acknowledged, tried);
    }
    assert!(acknowledged.inserts() as u64 > kills * 5);
}
