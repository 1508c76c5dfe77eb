//! What a process has used, as the kernel says it.

use std::fs;

/// Seconds of processor time that a process has used (proc_pid_stat(5): fields 14 and 15, in ticks).
pub fn cpu_of(process: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}

/// Memory that is in use, in MiB.
pub fn memory_of(process: i32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
