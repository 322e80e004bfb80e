//! A look through the bytes of a model before ONNX Runtime sees them: that it needs nothing else, and what its classes are.
//!
//! ONNX Runtime resolves external data against the current folder when a model is loaded from memory, so a hostile
//! model could make it read files. This walk over the protobuf wire format (<https://protobuf.dev/programming-guides/encoding/>,
//! field numbers from `onnx.proto` of ONNX 1.23) refuses such models, and tells apart the files that are no model at all.

use anyhow::{Context, Result, ensure};

/// The largest protobuf message, 2 GiB.
const MAX_BYTES: usize = i32::MAX as usize;

/// Protobuf's own default limit on nested messages.
const MAX_DEPTH: usize = 100;

const TRUNCATED: &str = "the model is not a complete ONNX file: it is truncated, corrupt, or of another format";

const EXTERNAL: &str = "the model keeps its weights in external data, which is never loaded: save it as one file \
                        (`onnx.save_model(model, path, save_as_external_data=False)`)";

/// Checks that `bytes` are a whole ONNX model that needs nothing but itself. Returns the classes of a classifier, in the
/// order of its outputs, where all the operators that list classes list the same.
///
/// # Errors
/// For empty, oversized, truncated and foreign files, and for models with external data.
pub fn inspect(bytes: &[u8]) -> Result<Option<Vec<String>>> {
    ensure!(!bytes.is_empty(), "the model file is empty");
    ensure!(bytes.len() <= MAX_BYTES, "the model is larger than 2 GiB, the limit of an ONNX file");
    ensure!(
        !bytes.starts_with(b"version https://git-lfs"),
        "the model file is a Git LFS pointer: fetch the model itself with `git lfs pull`"
    );
    ensure!(bytes.get(4..8) != Some(b"ORTM"), "the model is in ORT format: give the ONNX file it was made from");
    let mut classes = Vec::new();
    ensure!(walk(bytes, Message::Model, 0, &mut classes)?, "the file is not an ONNX model: it holds no graph");
    classes.dedup();
    Ok(if classes.len() == 1 { classes.pop() } else { None })
}

/// The messages of `onnx.proto` that lead to tensors.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
}

impl Message {
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            _ => return None,
        })
    }

    /// Whether this field says that a tensor lies outside the file: any `external_data`, or a `data_location` other
    /// than the default.
    fn is_external(self, field: u64, value: &Value) -> bool {
        matches!((self, field, value), (Self::Tensor, 13, _) | (Self::Tensor, 14, Value::Varint(1..)))
    }
}

/// The payload of one field; what is of fixed size never matters here.
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Walks one message and all it holds; whether it holds a graph.
fn walk(mut bytes: &[u8], message: Message, depth: usize, classes: &mut Vec<Vec<String>>) -> Result<bool> {
    ensure!(depth < MAX_DEPTH, "the model nests graphs more than {MAX_DEPTH} deep");
    let mut found = false;
    while !bytes.is_empty() {
        let (field, value) = next(&mut bytes).context(TRUNCATED)?;
        ensure!(!message.is_external(field, &value), EXTERNAL);
        if let (Some(child), Value::Bytes(inner)) = (message.child(field), value) {
            walk(inner, child, depth + 1, classes)?;
            if matches!(child, Message::Attribute) {
                classes.extend(class_labels(inner));
            }
            found |= matches!(child, Message::Graph);
        }
    }
    Ok(found)
}

/// The classes that an attribute lists, as texts: `classlabels_ints`, `classlabels_int64s` or `classlabels_strings`.
fn class_labels(mut attribute: &[u8]) -> Option<Vec<String>> {
    let (mut is_named, mut labels) = (false, Vec::new());
    while !attribute.is_empty() {
        match next(&mut attribute)? {
            (1, Value::Bytes(name)) => is_named = name.starts_with(b"classlabels_"),
            (8, Value::Varint(number)) => labels.push(number.cast_signed().to_string()),
            (8, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    labels.push(varint(&mut packed)?.cast_signed().to_string());
                }
            }
            (9, Value::Bytes(text)) => labels.push(String::from_utf8_lossy(text).into_owned()),
            _ => {}
        }
    }
    (is_named && !labels.is_empty()).then_some(labels)
}

/// Takes one field off the front; `None` when the wire format is broken. Groups, long deprecated, count as broken.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = varint(bytes).filter(|tag| *tag <= u64::from(u32::MAX))?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(bytes)?),
        1 => take(bytes, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => take(bytes, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    /// One length-delimited field of fewer than 2^14 bytes.
    fn field(number: u8, inner: &[u8]) -> Vec<u8> {
        let (low, high) = (inner.len() & 0x7f, inner.len() >> 7);
        let mut bytes = vec![number << 3 | 2, u8::try_from(low).unwrap() | 0x80, u8::try_from(high).unwrap()];
        bytes.extend_from_slice(inner);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        inspect(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_model_is_told_apart() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
        assert!(refusal(b"\x1c\0\0\0ORTM\0\0").contains("ORT format"));
        assert!(refusal(b"PK\x03\x04zip").contains("truncated"));
        assert!(refusal(&[0x08, 0x0a]).contains("no graph"), "ir_version alone");
        assert!(inspect(&field(7, &[])).is_ok());
    }

    #[test]
    fn external_data_is_found_wherever_a_tensor_can_be() {
        let external = [0x70, 1];
        let in_graph = field(7, &field(5, &external));
        let in_attribute = field(7, &field(1, &field(5, &field(5, &external))));
        let in_subgraph = field(7, &field(1, &field(5, &field(6, &field(5, &external)))));
        let in_sparse = field(7, &field(15, &field(2, &field(13, b"x"))));
        for model in [in_graph, in_attribute, in_subgraph, in_sparse] {
            assert!(refusal(&model).contains("external data"));
        }
        assert!(inspect(&field(7, &field(5, &[0x70, 0]))).is_ok(), "the default location is inside the file");
    }

    #[test]
    fn classes_are_those_that_all_operators_list() {
        let attribute = |name: &[u8], values: &[u8]| field(1, &field(5, &[field(1, name), values.to_vec()].concat()));
        let classes = |nodes: &[Vec<u8>]| inspect(&field(7, &nodes.concat())).unwrap();
        let words = attribute(b"classlabels_strings", &[field(9, b"b"), field(9, b"a")].concat());
        let apart = attribute(b"classlabels_int64s", &[8 << 3, 2, 8 << 3, 5]);
        let packed = attribute(b"classlabels_ints", &field(8, &[2, 5]));
        let others = attribute(b"nodes_values", &field(8, &[1]));
        assert_eq!(classes(&[words.clone(), others]), Some(vec!["b".to_owned(), "a".to_owned()]));
        assert_eq!(classes(&[apart.clone(), packed]), Some(vec!["2".to_owned(), "5".to_owned()]));
        assert_eq!(classes(&[words, apart]), None);
        assert_eq!(classes(&[]), None);
    }

    #[test]
    fn truncation_and_endless_nesting_are_errors() {
        let model = field(7, &field(5, &[0x70, 0]));
        for length in 1..model.len() {
            assert!(refusal(&model[..length]).contains("truncated"), "{length} bytes");
        }
        assert!(refusal(&[0xff; 12]).contains("truncated"), "a varint of more than ten bytes");
        assert!(refusal(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).contains("truncated"));
        let deep = (0..40).fold(Vec::new(), |graph, _| field(1, &field(5, &field(6, &graph))));
        assert!(refusal(&field(7, &deep)).contains("100 deep"));
    }
}
