//! What the double answers.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

/// An answer, before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

impl Answer {
    fn new(status: u16, media_type: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type", media_type.to_owned())], body, delay: Duration::ZERO }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn raw(content: &str) -> Self {
        Self::new(200, "application/vnd.github.raw+json; charset=utf-8", content.to_owned())
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), delay: Duration::ZERO }
    }

    /// An error as GitHub words it.
    pub(super) fn error(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(
            status,
            &json!({ "message": message, "documentation_url": documentation, "status": status.to_string() }),
        )
    }

    /// A 422 about a field.
    pub(super) fn invalid(resource: &str, message: &str) -> Self {
        let error = json!({ "resource": resource, "code": "unprocessable", "field": "data", "message": message });
        Self::json(422, &json!({ "message": "Validation Failed", "errors": [error] }))
    }

    /// GraphQL answers errors with a success.
    pub(super) fn graphql_error(kind: &str, message: &str) -> Self {
        Self::json(200, &json!({ "data": null, "errors": [{ "type": kind, "message": message, "path": [] }] }))
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Names the next page.
    pub(super) fn linked(self, link: Option<String>) -> Self {
        match link {
            Some(link) => self.with_header("link", link),
            None => self,
        }
    }

    /// Takes its time.
    pub(super) fn late(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Half of the body.
    pub(super) fn cut(mut self) -> Self {
        self.body = self.body.chars().take(self.body.chars().count() / 2).collect();
        self
    }

    pub(super) fn template(self) -> ResponseTemplate {
        let mut template = ResponseTemplate::new(self.status).set_delay(self.delay);
        let media_type = self.headers.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| value.clone());
        if let Some(media_type) = media_type {
            template = template.set_body_raw(self.body.into_bytes(), &media_type);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "content-type") {
            template = template.append_header(*name, value.as_str());
        }
        template
    }
}
