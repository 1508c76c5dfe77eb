//! Durable before 2xx, seen from outside: the system calls of the process.

use std::fs;

use tokio::time::{Duration, sleep};

use crate::{
    bridge::Setup,
    cluster::Cluster,
    samples::{HOTEL, general},
};

/// What happens between a request and its answer, in the order in which the kernel saw it.
#[derive(Debug, PartialEq)]
enum Step {
    /// A write to a file, with the marker of one delivery in it.
    Written,
    /// An `fdatasync` or `fsync` of a journal file that has returned.
    Synced,
    /// The head of a 202.
    Answered,
}

/// The steps of one delivery, from a log of `strace -f -y`.
///
/// A sync counts where it returned, and only if it began after the write.
fn steps(trace: &str, journal: &str, marker: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut syncing = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if call.contains("write") && call.contains(marker) && call.contains(journal) {
            steps.push(Step::Written);
        } else if steps.is_empty() {
            // Not of this delivery yet.
        } else if is_sync && call.contains(journal) {
            if call.contains("<unfinished ...>") {
                syncing.push(thread);
            } else if call.ends_with("= 0") {
                steps.push(Step::Synced);
            }
        } else if call.contains("sync resumed>") && syncing.contains(&thread) && call.ends_with("= 0") {
            syncing.retain(|each| *each != thread);
            steps.push(Step::Synced);
        } else if call.contains("HTTP/1.1 202") {
            steps.push(Step::Answered);
            break;
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn no_202_leaves_before_the_fdatasync_of_its_bytes() {
    let setup = Setup::new("synced", &Cluster::shared().bootstrap());
    let log = setup.dir().join("strace.log");
    let calls = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync";
    let log_name = log.display().to_string();
    // -D: the ingress stays the child, strace is its grandchild, and goes with it.
    let strace =
        ["strace", "-D", "-f", "-q", "-y", "-s", "4096", "-e", calls, "-e", "signal=none", "-o", &log_name];
    let mut bridge = setup.launch_under(&strace);
    bridge.until_ready().await;
    let markers: Vec<_> = (0..10).map(|n| format!("marker-{n}-of-a-delivery")).collect();
    for marker in &markers {
        bridge.accept(general(HOTEL, "CustomerUpdated", &format!(r#"{{"Id":"{marker}"}}"#))).await;
    }
    bridge.until_drained().await;
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    // strace writes its last lines when the process is gone.
    sleep(Duration::from_millis(500)).await;
    let trace = fs::read_to_string(&log).expect("strace writes its log");
    let journal = setup.journal().display().to_string();
    for marker in &markers {
        let steps = steps(&trace, &journal, marker);
        assert_eq!(steps.first(), Some(&Step::Written), "{marker} is not written to the journal");
        assert_eq!(steps.last(), Some(&Step::Answered), "{marker} is not answered");
        assert!(steps.contains(&Step::Synced), "{marker} was answered before a sync: {steps:?}");
    }
}

#[test]
fn an_answer_before_the_sync_is_seen() {
    let written = "7 pwrite64(9</j/1.seg>, \"..marker..\", 99, 0) = 99\n";
    let answer = "8 writev(12<socket:[1]>, [{iov_base=\"HTTP/1.1 202 Accepted\\r\\n\"}], 1) = 9\n";
    let early = format!(
        "7 fdatasync(9</j/1.seg>) = 0\n{written}7 fdatasync(9</j/1.seg> <unfinished ...>\n{answer}7 <... fdatasync resumed>) = 0\n"
    );
    assert_eq!(steps(&early, "/j/", "marker"), [Step::Written, Step::Answered]);
    let good = format!(
        "{written}7 fdatasync(9</j/1.seg> <unfinished ...>\n7 <... fdatasync resumed>) = 0\n{answer}"
    );
    assert_eq!(steps(&good, "/j/", "marker"), [Step::Written, Step::Synced, Step::Answered]);
}
