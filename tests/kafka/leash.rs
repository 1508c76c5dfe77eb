//! A child process that cannot outlive the test process: `leash.sh` watches a pipe between the two.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running command, killed when dropped.
pub struct Leash {
    shell: Child,
    pid: Pid,
    out: PathBuf,
    err: PathBuf,
}

impl Leash {
    /// Starts a command whose output is appended to `<log>.out` and `<log>.err`. `cleared` is
    /// removed if the test process ends without having ended the command.
    pub fn start(log: &Path, cleared: Option<&Path>, command: &[&str], environment: &[(&str, &str)]) -> Self {
        use std::os::unix::process::CommandExt as _;
        let (out, err) = (log.with_extension("out"), log.with_extension("err"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/leash.sh");
        let mut shell = Command::new("sh")
            .arg(script)
            .args([&out, &err])
            .arg(cleared.unwrap_or(Path::new("-")))
            .args(command)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("sh can be started");
        let mut first = String::new();
        let stdout = shell.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut first).expect("leash.sh can be read");
        let pid = first.trim().parse().ok().and_then(Pid::from_raw).expect("leash.sh says the pid first");
        Self { shell, pid, out, err }
    }

    /// The command's process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends the command a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit_code().is_none() {
            // It may have ended in between: then there is nothing left to signal.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// How the command ended, `None` while it runs. 128 + n when signal n ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.shell
            .try_wait()
            .expect("a child of ours can be waited for")
            .map(|status| status.code().unwrap_or(-1))
    }

    /// Waits for the end of the command.
    pub fn wait(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(code) = self.exit_code() {
                return Some(code);
            }
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the command and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10)).expect("a killed process ends");
    }

    /// What the command wrote so far, standard output first.
    pub fn output(&self) -> String {
        [&self.out, &self.err]
            .map(|path| fs::read(path).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.kill();
    }
}
