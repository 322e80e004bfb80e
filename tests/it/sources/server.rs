//! A server that does with each request what a test says, also what no server should.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// By names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How many requests came before.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first and the last byte that are asked for.
    pub(crate) fn range(&self) -> Option<(usize, Option<usize>)> {
        let (from, to) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().unwrap(), to.parse().ok()))
    }

    /// Whether a byte is asked for, only to learn of the file.
    pub(crate) fn is_glance(&self) -> bool {
        self.range() == Some((0, Some(0)))
    }
}

/// What is done with a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// The wait between two bytes.
    pub(crate) drip: Option<Duration>,
    /// Says nothing of the length: the end of the connection is the end.
    pub(crate) endless: bool,
}

impl Reply {
    pub(crate) fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self::of(302, "").with("location", to)
    }

    /// What a server answers that has this file, by the rules of RFC 9110.
    pub(crate) fn file(asked: &Asked, content: &[u8], tag: Option<&str>) -> Self {
        let tagged = |reply: Self| match tag {
            Some(tag) => reply.with("etag", tag),
            None => reply,
        };
        let same = asked.header("if-range").is_none_or(|condition| Some(condition) == tag);
        match asked.range().filter(|_| same) {
            Some((from, _)) if from >= content.len() => {
                tagged(Self::of(416, "").with("content-range", format!("bytes */{}", content.len())))
            }
            Some((from, to)) => {
                let to = to.unwrap_or(content.len() - 1).min(content.len() - 1);
                let range = format!("bytes {from}-{to}/{}", content.len());
                tagged(Self::of(206, &content[from..=to]).with("content-range", range))
            }
            None => tagged(Self::of(200, content)),
        }
    }

    pub(crate) fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }
}

/// A server on an address of this machine.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its address: `127.0.0.1:41234`.
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1", reply)
    }

    /// On another address, which is another host.
    pub(crate) fn on(address: &str, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&asked), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                thread::spawn(move || serve(stream.unwrap(), &log, reply.as_ref()));
            }
        });
        Self { host, asked }
    }

    /// An address of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.host)
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request for each connection. That a client goes away is its own affair.
fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, reply: &dyn Fn(&Asked) -> Reply) {
    let Some(mut asked) = read(&stream) else { return };
    {
        let mut log = log.lock().unwrap();
        asked.before = log.len();
        log.push(asked.clone());
    }
    let Reply { status, headers, body, cut, drip, endless } = reply(&asked);
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !endless {
        head += &format!("content-length: {}\r\n", body.len());
    }
    let sent = &body[..cut.unwrap_or(body.len()).min(body.len())];
    if stream.write_all(format!("{head}\r\n").as_bytes()).is_err() {
        return;
    }
    match drip {
        None => drop(stream.write_all(sent)),
        Some(wait) => {
            for byte in sent {
                if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
                    return;
                }
                thread::sleep(wait);
            }
        }
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body, before: 0 })
}
