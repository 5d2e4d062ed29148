//! A server on loopback that answers as scripted, and remembers what it was asked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request that it has read.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, header fields (each with its line end), body.
    Answer(u16, String, String),
    /// Closes without a word.
    Close,
    /// Says that more is to come than comes.
    Cut(u16, String),
    /// Never answers.
    Hang,
}

/// What it was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// First line and header fields.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: String,
}

/// The server. It listens as long as its task's `LocalSet` runs.
#[derive(Clone)]
pub(crate) struct Fake {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer(status, "Content-Type: application/json;charset=utf-8\r\n".into(), body.into())
    }
}

impl Asked {
    /// The value of a parameter in the form, decoded.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        let mut pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|pair| pair.0 == name).map(|pair| decode(pair.1))
    }
}

impl Fake {
    /// Answers the first request with the first reply and so on, all later ones with the last.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let mut script: VecDeque<Reply> = script.into_iter().collect();
        Self::answering(move |_| {
            let reply = script.front().cloned().unwrap();
            if script.len() > 1 {
                script.pop_front();
            }
            reply
        })
        .await
    }

    /// Answers each request with what `answer` says to it.
    pub(crate) async fn answering(mut answer: impl FnMut(&Asked) -> Reply + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Rc::new(RefCell::new(Vec::new()));
        let remember = Rc::clone(&asked);
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read(&mut stream).await else { continue };
                let reply = answer(&request);
                remember.borrow_mut().push(request);
                tokio::task::spawn_local(async move { play(stream, reply).await });
            }
        });
        Self { url, asked }
    }

    /// All that it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }
}

/// Runs a test with a fake's tasks beside it.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(Asked { head: head.into(), body: body.into() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn play(mut stream: TcpStream, reply: Reply) {
    let text = match reply {
        Reply::Answer(status, fields, body) => {
            format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
                body.len()
            )
        }
        Reply::Cut(status, body) => {
            format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len() + 9
            )
        }
        Reply::Close => return,
        Reply::Hang => std::future::pending().await,
    };
    // who asks may be gone
    if stream.write_all(text.as_bytes()).await.is_ok() {
        stream.shutdown().await.ok();
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
