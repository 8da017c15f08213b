//! The real PostgreSQL as a child process.
//!
//! A shell stands between it and the test and reads the test's end of a pipe: when that is closed, for whatever reason,
//! the server is ended and its folder removed. It refuses to run as root, so root runs it as nobody.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::eventually::eventually;
use crate::server_process::free_address;

/// Who runs it when the test is run by root: nobody.
const NOBODY: u32 = 65_534;

/// Starts the server `$1` on the folder `$2` with the port `$3` and further options, and ends it with the pipe, as a crash
/// does; then removes the folder, unless the word is `kill`.
const KEEPER: &str = r#"
programs=$1 folder=$2 port=$3
shift 3
"$programs/postgres" -D "$folder/data" -p "$port" -k "$folder" -F -c listen_addresses=127.0.0.1 -c max_connections=200 \
    -c shared_buffers=32MB -c log_min_messages=fatal "$@" >>"$folder/log" 2>&1 &
read -r word
kill -QUIT $!
wait $!
[ "$word" = kill ] || rm -rf "$folder"
"#;

/// A running PostgreSQL with the user `postgres`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Options besides those that all have.
    options: Vec<String>,
    keeper: Option<Child>,
}

impl Postgres {
    /// One for all tests of this process. They take databases of their own, and leave it running.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes a new one in a folder of its own and waits until it answers.
    pub fn start() -> Self {
        let mut this = Self::initialized();
        this.restart();
        this
    }

    /// The same with TLS, by a certificate and its key in PEM.
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut this = Self::initialized();
        for (name, text) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let path = this.folder.join(name);
            std::fs::write(&path, text).expect("written");
            // It refuses a key that others can read.
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner may");
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
            this.options.extend(["-c".to_owned(), format!("{name}={}", path.display())]);
        }
        this.options.extend(["-c".to_owned(), "ssl=on".to_owned()]);
        this.restart();
        this
    }

    fn initialized() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let made = as_nobody(&programs.join("initdb"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"])
            .current_dir(&folder)
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let address = free_address();
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        Self { programs, folder, port, options: Vec::new(), keeper: None }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and gives its name.
    pub fn create_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// What a statement answers: rows in lines, fields with `|` between them.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let answer = self.psql(database, statement).output().expect("psql starts");
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{statement}: {said}");
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }

    /// Ends it as a crash does: connections break, what is not committed is gone.
    pub fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            if let Some(pipe) = keeper.stdin.as_mut() {
                pipe.write_all(b"kill\n").expect("it reads");
            }
            keeper.wait().expect("it ends");
        }
    }

    /// Starts it again where it was, killing it before if it runs, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let mut keeper = as_nobody(Path::new("/bin/sh"));
        keeper
            .args(["-c", KEEPER, "sh"])
            .arg(&self.programs)
            .arg(&self.folder)
            .arg(self.port.to_string())
            .args(&self.options)
            .current_dir(&self.folder)
            .stdin(Stdio::piped());
        self.keeper = Some(keeper.spawn().expect("a shell starts"));
        eventually("PostgreSQL answers", || {
            let answer = self.psql("postgres", "SELECT 1").output().ok()?;
            answer.status.success().then_some(())
        });
    }

    fn psql(&self, database: &str, statement: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database, "-c", statement]).stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            // It is ended whether this succeeds or not.
            let _ = keeper.wait();
        }
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("a process")) == 0
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The folder of the newest version's programs: those that `make deps` has found.
fn programs() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/postgres");
    let has = |folder: &Path| folder.join("initdb").is_file() && folder.join("psql").is_file();
    if has(&tools) {
        return tools.canonicalize().expect("it is there");
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin")).filter(|bin| has(bin)).collect();
    found.sort();
    found.pop().expect("PostgreSQL is there: run `make deps`")
}
