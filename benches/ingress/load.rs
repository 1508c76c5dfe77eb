//! A closed-loop load generator: each connection sends, waits for its answer, and sends again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One round.
pub struct Load {
    pub address: SocketAddr,
    pub path: &'static str,
    pub body: String,
    pub connections: u64,
    pub within: Duration,
    /// The server's process, whose processor time is taken.
    pub server: u32,
}

/// What one round came to.
#[derive(Clone, Debug)]
pub struct Figures {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Processor time per webhook that the server used.
    pub server_cpu_us: f64,
    /// And this process: the load, and the embedded broker.
    pub load_cpu_us: f64,
}

impl Load {
    /// Runs the round on one thread of its own.
    pub fn run(self) -> Figures {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{}",
            self.path,
            self.body.len(),
            self.body
        );
        let cpu = [self.server, std::process::id()].map(cpu_of);
        let began = Instant::now();
        let until = began + self.within;
        let mut latencies: Vec<Duration> = runtime.block_on(async {
            let connections: Vec<_> = (0..self.connections)
                .map(|_| tokio::spawn(connection(self.address, request.clone(), until)))
                .collect();
            let mut latencies = Vec::new();
            for connection in connections {
                latencies.extend(connection.await.expect("a connection ends in order"));
            }
            latencies
        });
        let took = began.elapsed().as_secs_f64();
        let used = |at: usize, of: u32| (cpu_of(of) - cpu[at]) / latencies.len() as f64 * 1e6;
        let (server_cpu_us, load_cpu_us) = (used(0, self.server), used(1, std::process::id()));
        latencies.sort_unstable();
        let quantile =
            |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        Figures {
            per_second: latencies.len() as f64 / took,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            server_cpu_us,
            load_cpu_us,
        }
    }
}

impl Figures {
    /// Each figure's own median.
    pub fn median(rounds: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            per_second: median(|figures| figures.per_second),
            p50_ms: median(|figures| figures.p50_ms),
            p99_ms: median(|figures| figures.p99_ms),
            server_cpu_us: median(|figures| figures.server_cpu_us),
            load_cpu_us: median(|figures| figures.load_cpu_us),
        }
    }
}

/// The one in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Seconds of processor time that a process has used (proc_pid_stat(5): fields 14 and 15, in ticks).
fn cpu_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}

async fn connection(address: SocketAddr, request: String, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let mut latencies = Vec::new();
    let mut answer = Vec::with_capacity(1024);
    loop {
        let sent = Instant::now();
        if sent >= until {
            return latencies;
        }
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        read_answer(&mut stream, &mut answer).await;
        latencies.push(sent.elapsed());
    }
}

/// Reads one answer, which must be a 202 with a length.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        assert_ne!(stream.read_buf(answer).await.expect("the server answers"), 0, "the server closed");
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).expect("heads are ASCII").to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 202"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
        if answer.len() >= head + 4 + length {
            return;
        }
    }
}
