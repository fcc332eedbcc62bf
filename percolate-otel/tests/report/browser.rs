//! [`Page`]: a page in a headless Chromium, driven through the DevTools protocol on a pair of pipes.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long an answer of the browser may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page, and everything that the browser has reported about it.
pub(crate) struct Page {
    browser: Child,
    commands: File,
    messages: Receiver<Value>,
    _folder: tempfile::TempDir,
    session: String,
    last_id: u64,
    /// Addresses that the page has requested.
    pub(crate) requests: Vec<String>,
    /// Exceptions, errors and warnings.
    pub(crate) problems: Vec<String>,
    loaded: bool,
}

/// Returns the browser's program, or prints why the test is skipped.
#[expect(clippy::print_stderr, reason = "says why a test does nothing")]
fn chromium() -> Option<&'static str> {
    let programs = ["chromium", "chromium-browser", "google-chrome"];
    let found = programs.into_iter().find(|program| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|out| out.status.success())
    });
    if found.is_none() {
        eprintln!(
            "skipped: Chromium is not installed, which opens reports (scripts/setup.sh tools)"
        );
    }
    found
}

impl Page {
    /// Opens a file; `None` if there is no browser.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let mut page = Self::start(chromium()?);
        page.navigate(path);
        Some(page)
    }

    fn start(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (commands, answers) = (
            folder.path().join("commands"),
            folder.path().join("answers"),
        );
        let pipes = Command::new("mkfifo").args([&commands, &answers]).status();
        assert!(pipes.expect("mkfifo runs").success());
        let browser = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<\"$COMMANDS\" 4>\"$ANSWERS\"",
                program,
            ])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--remote-debugging-pipe", "--disable-dev-shm-usage"])
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars"])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .env("COMMANDS", &commands)
            .env("ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        // In the order in which the shell opens them.
        let commands = File::options().write(true).open(commands).expect("a pipe");
        let answers = File::open(answers).expect("a pipe");
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut page = Self {
            browser,
            commands,
            messages,
            _folder: folder,
            session: String::new(),
            last_id: 0,
            requests: Vec::new(),
            problems: Vec::new(),
            loaded: false,
        };
        let target = page.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", &attach);
        let session = attached["sessionId"].as_str().expect("an id");
        session.clone_into(&mut page.session);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        let time_of_thread = json!({ "timeDomain": "threadTicks" });
        page.call("Performance.enable", &time_of_thread);
        page
    }

    fn navigate(&mut self, path: &Path) {
        self.loaded = false;
        let url = format!("file://{}", path.display());
        self.call("Page.navigate", &json!({ "url": url }));
        let end = Instant::now() + PATIENCE;
        while !self.loaded {
            self.receive(end);
        }
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser reads");
        let end = Instant::now() + PATIENCE;
        loop {
            let mut message = self.receive(end);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
        }
    }

    /// Waits for a message, and notes what it reports.
    fn receive(&mut self, end: Instant) -> Value {
        let left = end.saturating_duration_since(Instant::now());
        let message = self.messages.recv_timeout(left);
        let message = message.expect("the browser answers in time");
        let about = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded = true,
            "Network.requestWillBeSent" => {
                let url = about["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => {
                self.problems.push(about.to_string());
            }
            _ => {}
        }
        message
    }

    /// Evaluates JavaScript in the page, and waits for a promise.
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let parameters = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut result = self.call("Runtime.evaluate", &parameters);
        let exception = &result["exceptionDetails"];
        assert!(exception.is_null(), "{script}: {exception}");
        result["result"]["value"].take()
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "char", "keyUp"] {
            let text = if key == "Enter" { "\r" } else { "" };
            if kind == "char" && text.is_empty() {
                continue;
            }
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Sets the size of the window, and whether the scheme is dark.
    pub(crate) fn show_as(&mut self, (width, height): (u32, u32), is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = [json!({ "name": "prefers-color-scheme", "value": scheme })];
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Writes what the window shows to a PNG file.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let encoded = shot["data"].as_str().expect("an image");
        fs::write(path, decoded(encoded)).expect("it is written");
    }

    /// The processor time of the page's thread, in seconds.
    pub(crate) fn processor_time(&mut self) -> f64 {
        let metrics = self.call("Performance.getMetrics", &json!({}));
        let metrics = metrics["metrics"].as_array().expect("metrics");
        let task = metrics.iter().find(|it| it["name"] == "TaskDuration");
        task.expect("a metric")["value"].as_f64().expect("a number")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It ends when its pipe is closed; a killed one leaves processes.
        _ = self
            .commands
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if !matches!(self.browser.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        _ = self.browser.kill();
        _ = self.browser.wait();
    }
}

/// Decodes base64.
fn decoded(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut number) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = (bits << 6) | u32::from(value(letter));
        number += 6;
        if number >= 8 {
            number -= 8;
            bytes.push(u8::try_from((bits >> number) & 0xff).expect("one byte"));
        }
    }
    bytes
}
