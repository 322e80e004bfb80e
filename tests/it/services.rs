//! The servers that teams keep models and data on, the real ones: started for a test, on a port of their own, and stopped with it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to answer at all: what is written in Python reads half of its environment first.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server that runs for as long as a test holds on to it.
pub(crate) struct Service {
    child: Child,
    /// Where it listens, on this machine.
    pub(crate) port: u16,
    /// The folder that it works in.
    pub(crate) folder: TempDir,
}

/// A program of the environment that `tests/services/requirements/NAME.txt` describes, or `tests/services/install.sh` makes.
pub(crate) fn program(environment: &str, name: &str) -> PathBuf {
    let folder = std::env::var_os("MODELGATE_SERVICES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/services"), PathBuf::from);
    let program = folder.join(environment).join("bin").join(name);
    assert!(program.exists(), "there is no {}: `make test` installs it", program.display());
    program
}

impl Service {
    /// Starts a server and waits until it answers to a request for `path`, be it that this is not allowed. What it is started
    /// with is told its port and folder.
    pub(crate) fn start(path: &str, command: impl FnOnce(u16, &Path) -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let said = File::create(folder.path().join("said.txt")).unwrap();
        let mut command = command(port, folder.path());
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        // What it starts itself ends with it.
        command.process_group(0);
        let mut service = Self { child: command.spawn().unwrap(), port, folder };
        let begun = Instant::now();
        while !service.answers(path) {
            let ended = service.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{command:?}: {ended:?}\n{}", service.said());
            std::thread::sleep(Duration::from_millis(100));
        }
        service
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it printed.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said.txt")).unwrap_or_default()
    }

    fn answers(&self, path: &str) -> bool {
        let asked = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        });
        asked.is_ok_and(|answer| answer.starts_with(b"HTTP/1.") && answer[9] < b'5')
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_server_answers_once_it_is_started_and_is_gone_with_its_test() {
    let service = Service::start("/moto-api/", |port, _| {
        let mut command = Command::new(program("moto", "moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command
    });
    let port = service.port;
    assert!(service.answers("/moto-api/"), "{}: {}", service.address(), service.said());
    drop(service);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
