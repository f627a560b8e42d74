//! A proxy in front of an engine that lets a process die at an exact place: before its request number
//! N arrives, or before the answer to it does. From there on nothing of it arrives any more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Where a process dies, by the number of its request, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// This request never arrives.
    Before(usize),
    /// This request arrives, and its answer is lost.
    After(usize),
}

impl Cut {
    fn lets_in(self, number: usize) -> bool {
        match self {
            Self::Before(at) => number < at,
            Self::After(at) => number <= at,
        }
    }

    fn lets_out(self, number: usize) -> bool {
        match self {
            Self::Before(at) | Self::After(at) => number < at,
        }
    }
}

/// A running proxy; stops when it is dropped.
#[derive(Debug)]
pub struct CutProxy {
    /// Address to use instead of the engine's.
    pub url: String,
    seen: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

/// Never cuts.
const NEVER: usize = usize::MAX / 2;

impl CutProxy {
    /// Starts one in front of `engine`, an address such as `http://127.0.0.1:8000`. It lets everything
    /// through until it is [armed](Self::arm).
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(engine: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (seen, cut) = (Arc::default(), Arc::new(AtomicUsize::new(NEVER)));
        let line = Line {
            engine: engine.to_owned(),
            http: reqwest::Client::builder().no_proxy().build()?,
            seen: Arc::clone(&seen),
            cut: Arc::clone(&cut),
        };
        let serving = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let line = line.clone();
                // An error is a connection that is closed, which is what is wanted.
                tokio::spawn(async move { line.serve(caller).await.ok() });
            }
        });
        Ok(Self {
            url,
            seen,
            cut,
            serving,
        })
    }

    /// Counts requests from 1 again, and cuts there.
    pub fn arm(&self, cut: Cut) {
        self.seen.store(0, Ordering::SeqCst);
        let coded = match cut {
            Cut::Before(at) => at * 2,
            Cut::After(at) => at * 2 + 1,
        };
        self.cut.store(coded, Ordering::SeqCst);
    }

    /// Returns how many requests there were since.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Line {
    engine: String,
    http: reqwest::Client,
    seen: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
}

impl Line {
    fn cut(&self) -> Cut {
        let coded = self.cut.load(Ordering::SeqCst);
        match coded % 2 {
            0 => Cut::Before(coded / 2),
            _ => Cut::After(coded / 2),
        }
    }

    /// Passes requests of a connection on until it is cut or closed.
    async fn serve(&self, caller: TcpStream) -> anyhow::Result<()> {
        let mut caller = BufStream::new(caller);
        loop {
            let request = read_request(&mut caller).await?;
            let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
            let cut = self.cut();
            if !cut.lets_in(number) {
                return Ok(());
            }
            let answer = self.pass_on(request).await?;
            if !cut.lets_out(number) {
                return Ok(());
            }
            caller.write_all(&answer).await?;
            caller.flush().await?;
        }
    }

    async fn pass_on(&self, request: Request) -> anyhow::Result<Vec<u8>> {
        let mut sent = self.http.post(format!("{}{}", self.engine, request.path));
        for (name, value) in request.headers {
            sent = sent.header(name, value);
        }
        let answer = sent.body(request.body).send().await?;
        let mut head = format!("HTTP/1.1 {}\r\n", answer.status());
        for (name, value) in answer.headers() {
            if name != "content-length" && name != "transfer-encoding" && name != "connection" {
                head += &format!("{name}: {}\r\n", value.to_str()?);
            }
        }
        let body = answer.bytes().await?;
        head += &format!("content-length: {}\r\n\r\n", body.len());
        Ok([head.as_bytes(), &body].concat())
    }
}

struct Request {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads a POST with a known length, which is all that the SDK of DynamoDB sends.
async fn read_request(from: &mut BufStream<TcpStream>) -> anyhow::Result<Request> {
    let first = read_line(from).await?;
    let path = first.split(' ').nth(1).context("no path")?.to_owned();
    anyhow::ensure!(first.starts_with("POST "), "not a POST: {first}");
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let line = read_line(from).await?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse()?,
            "connection" => {}
            _ => headers.push((name, value)),
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(Request {
        path,
        headers,
        body,
    })
}

async fn read_line(from: &mut BufStream<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    anyhow::ensure!(from.read_line(&mut line).await? > 0, "closed");
    Ok(line.trim_end().to_owned())
}
