//! What the agent costs: lines that are there, lines that come at a steady rate, and a thousand files in which nothing happens.
//!
//! Agent and server are processes of their own; the figures are the agent's. What was stored is counted on its status page.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::generator::Workload;
use crate::process::{PATIENCE, Process};
use crate::server::Server;

/// Files that lines are spread over.
const FILES: usize = 8;
/// Lines a second of the steady rate, and how long it is kept up.
const RATE: usize = 50_000;
const STEADY: Duration = Duration::from_secs(20);
/// Files in which nothing happens, and how long that is watched.
const IDLE_FILES: usize = 1_000;
const IDLE: Duration = Duration::from_secs(60);

/// An agent that reads `logs/*.log` of a folder.
struct Agent {
    process: Process,
    status: String,
}

impl Agent {
    fn start(binary: &Path, folder: &Path, server: &Server) -> Result<Self, String> {
        let status = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| format!("no free port: {e}"))?;
        let file = folder.join("agent.yaml");
        let text = format!(
            "server: {{url: {}}}\npositions_file: {1}/positions.json\nstatus_listen: {status}\ntargets:\n  - path: {1}/logs/*.log\n    labels: {{job: bench}}\n",
            server.url,
            folder.display(),
        );
        fs::write(&file, text).map_err(|e| e.to_string())?;
        let child = Command::new(binary)
            .args(["agent", "--config"])
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        Ok(Self { process: Process { child }, status: format!("http://{status}/metrics") })
    }

    /// Waits until so many lines are stored.
    fn wait_for(&self, lines: usize) -> Result<(), String> {
        let begun = Instant::now();
        let name = "timberyard_agent_lines_stored_total ";
        while begun.elapsed() < PATIENCE {
            if let Ok(mut answer) = ureq::get(&self.status).call() {
                let page = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
                let stored = page.lines().find_map(|line| line.strip_prefix(name)?.parse::<usize>().ok());
                if stored.unwrap_or_default() >= lines {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{lines} lines did not arrive"))
    }
}

/// All three, as a table.
pub(crate) fn measure(binary: &Path, lines: usize) -> Result<String, String> {
    let mut table = String::from("| what | figure |\n| --- | --- |\n");
    for row in [ship(binary, lines)?, steady(binary)?, idle(binary)?] {
        table.push_str(&row);
    }
    Ok(table)
}

/// Runs an agent on a fresh folder beside a fresh server.
fn beside_server<T>(
    binary: &Path,
    run: impl FnOnce(&Path, &Server) -> Result<T, String>,
) -> Result<T, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    fs::create_dir_all(folder.path().join("logs")).map_err(|e| e.to_string())?;
    let server = Server::start(binary, &folder.path().join("data"))?;
    let outcome = run(folder.path(), &server)?;
    server.stop()?;
    Ok(outcome)
}

/// Lines of a text of the workload, some of which are traces.
fn lines_in(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// Lines that are there when the agent starts.
fn ship(binary: &Path, texts: usize) -> Result<String, String> {
    beside_server(binary, |folder, server| {
        let mut files = (0..FILES)
            .map(|number| File::create(folder.join(format!("logs/{number}.log"))).map(BufWriter::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let (mut bytes, mut lines) = (0, 0);
        for line in Workload::Micro.lines(texts, 1) {
            bytes += line.text.len() + 1;
            lines += lines_in(&line.text);
            writeln!(files[line.stream % FILES], "{}", line.text).map_err(|e| e.to_string())?;
        }
        for mut file in files {
            file.flush().map_err(|e| e.to_string())?;
        }
        let agent = Agent::start(binary, folder, server)?;
        agent.wait_for(lines)?;
        let (cpu, peak) = (agent.process.cpu_seconds()?, agent.process.resident_bytes_peak()?);
        agent.process.stop()?;
        Ok(format!(
            "| {lines} lines, {} MB, in {FILES} files that are there | {:.0} lines/s a core, {:.2} CPU s/GB, memory at most {:.1} MB |\n",
            bytes / 1_000_000,
            lines as f64 / cpu,
            cpu / (bytes as f64 / 1e9),
            peak as f64 / 1e6,
        ))
    })
}

/// Lines that are written at a steady rate, a hundred times a second.
fn steady(binary: &Path) -> Result<String, String> {
    beside_server(binary, |folder, server| {
        let mut file = File::create(folder.join("logs/steady.log")).map_err(|e| e.to_string())?;
        let agent = Agent::start(binary, folder, server)?;
        let ticks = STEADY.as_millis() as usize / 10;
        let mut lines = Workload::Micro.lines(RATE / 100 * ticks, 2);
        let begun = Instant::now();
        let mut written = 0;
        for tick in 1..=ticks {
            let mut text = String::new();
            for line in lines.by_ref().take(RATE / 100) {
                text.push_str(&line.text);
                text.push('\n');
                written += lines_in(&line.text);
            }
            file.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
            std::thread::sleep((Duration::from_millis(10) * tick as u32).saturating_sub(begun.elapsed()));
        }
        let took = begun.elapsed().as_secs_f64();
        agent.wait_for(written)?;
        let (cpu, peak) = (agent.process.cpu_seconds()?, agent.process.resident_bytes_peak()?);
        agent.process.stop()?;
        Ok(format!(
            "| {:.0} lines/s for {took:.0} s into one file | memory at most {:.1} MB (bar 30), {:.1} % of a core |\n",
            written as f64 / took,
            peak as f64 / 1e6,
            cpu / took * 100.0,
        ))
    })
}

/// Files in which nothing happens.
fn idle(binary: &Path) -> Result<String, String> {
    beside_server(binary, |folder, server| {
        for number in 0..IDLE_FILES {
            fs::write(folder.join(format!("logs/{number}.log")), format!("line of file {number}\n"))
                .map_err(|e| e.to_string())?;
        }
        let agent = Agent::start(binary, folder, server)?;
        agent.wait_for(IDLE_FILES)?;
        std::thread::sleep(Duration::from_secs(2));
        let before = agent.process.cpu_seconds()?;
        std::thread::sleep(IDLE);
        let cpu = agent.process.cpu_seconds()? - before;
        let peak = agent.process.resident_bytes_peak()?;
        agent.process.stop()?;
        Ok(format!(
            "| {IDLE_FILES} files in which nothing happens, for {} s | {:.3} % of a core (bar 1), memory at most {:.1} MB |\n",
            IDLE.as_secs(),
            cpu / IDLE.as_secs_f64() * 100.0,
            peak as f64 / 1e6,
        ))
    })
}
