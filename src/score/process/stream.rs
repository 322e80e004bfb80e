//! What goes to a program and what comes back, both as Arrow IPC streams. What comes back may be anything: no message is read
//! that is larger than the scores of its rows can be.

use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::StreamWriter;

/// What every message of a stream begins with.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The bytes of what describes a message.
const MOST_METADATA: usize = 1 << 20;

/// The bytes of a score and its validity.
const ROW: usize = 9;

/// The bytes that a message may have beside its scores.
const BESIDE: usize = 64 << 10;

/// Writes each batch to a program and reads its answer, until there are no more or one goes wrong.
///
/// # Errors
/// When the program is gone already, or nobody waits for the answer.
pub(super) fn talk(
    schema: &SchemaRef,
    outputs: usize,
    input: impl Write,
    output: impl Read,
    batches: &Receiver<RecordBatch>,
    answers: &Sender<Result<RecordBatch>>,
) -> Result<()> {
    let (mut output, mut decoder) = (BufReader::new(output), StreamDecoder::new());
    let mut writer = StreamWriter::try_new(BufWriter::new(input), schema)?;
    for batch in batches {
        // A program that does not read what it is fed is found out by its answer.
        let _ = writer.write(&batch).and_then(|()| writer.flush());
        let answer = answer(&mut output, &mut decoder, BESIDE + batch.num_rows() * outputs * ROW);
        let is_last = answer.is_err();
        answers.send(answer)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// The next batch of a stream.
fn answer(from: &mut impl Read, decoder: &mut StreamDecoder, most: usize) -> Result<RecordBatch> {
    loop {
        let mut message = Buffer::from_vec(message(from, most)?);
        // The decoder gives up on some types that no column has.
        let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut message)));
        let decoded = decoded.map_err(|_| anyhow!("a message of its answer cannot be read"))?;
        if let Some(batch) = decoded.context("it is no Arrow IPC stream of scores")? {
            return Ok(batch);
        }
    }
}

/// The bytes of the next message, which has no more than so many.
fn message(from: &mut impl Read, most: usize) -> Result<Vec<u8>> {
    let mut head = [0; 8];
    fill(from, &mut head)?;
    let (mark, size) = head.split_at(4);
    if mark != CONTINUATION {
        bail!(
            "its standard output is no Arrow IPC stream, it begins with {:?}: print to standard error instead",
            String::from_utf8_lossy(&head)
        );
    }
    let size = size.try_into().map(i32::from_le_bytes).ok().and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= MOST_METADATA).context("a message of its answer has no size that can be")?;
    ensure!(size > 0, "its stream ended before it answered");
    let mut whole = head.to_vec();
    whole.resize(head.len() + size, 0);
    fill(from, &mut whole[head.len()..])?;
    let about = root_as_message(&whole[head.len()..]).ok().context("a message of its answer cannot be read")?;
    let body = usize::try_from(about.bodyLength()).ok().filter(|bytes| *bytes <= most);
    let body = body.with_context(|| {
        format!("a message of its answer has {} bytes, more than the scores of these rows", about.bodyLength())
    })?;
    let begin = whole.len();
    whole.resize(begin + body, 0);
    fill(from, &mut whole[begin..])?;
    Ok(whole)
}

fn fill(from: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    match from.read_exact(bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => bail!("its output ended before it answered"),
        other => Ok(other?),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8], most: usize) -> String {
        format!("{:#}", answer(&mut &*bytes, &mut StreamDecoder::new(), most).unwrap_err())
    }

    fn stream(scores: &[f64]) -> Vec<u8> {
        let scores = arrow::array::Float64Array::from(scores.to_vec());
        let batch = RecordBatch::try_from_iter([("score", std::sync::Arc::new(scores) as _)]).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn an_answer_is_a_batch_of_a_stream_and_nothing_else() {
        let whole = stream(&[0.25, 0.5]);
        let found = answer(&mut whole.as_slice(), &mut StreamDecoder::new(), 1024).unwrap();
        assert_eq!(found.num_rows(), 2);
        assert!(refusal(b"loading the model...\n", 1024).contains("print to standard error"));
        assert!(refusal(b"", 1024).contains("ended before it answered"));
        assert!(refusal(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 1024).contains("no size that can be"));
        assert!(refusal(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1024).contains("ended before it answered"));
        assert!(refusal(&stream(&[0.5; 1000]), 1024).contains("more than the scores of these rows"));
    }

    /// Every byte of an answer may be any other: that is an error or other scores, and never the end of the run.
    #[test]
    fn a_damaged_answer_takes_nothing_down() {
        let whole = stream(&[0.25, 0.5]);
        for at in 0..whole.len() {
            for flipped in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flipped;
                // Another number of rows is found out by whoever asked.
                if let Ok(batch) = answer(&mut bytes.as_slice(), &mut StreamDecoder::new(), 1024) {
                    assert!(batch.num_columns() <= 1, "byte {at} ^ {flipped}");
                }
            }
            assert!(answer(&mut &whole[..at.min(whole.len() - 9)], &mut StreamDecoder::new(), 1024).is_err());
        }
    }
}
