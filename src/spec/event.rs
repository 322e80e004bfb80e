//! Which events run a suite: the entries below `on`.

use super::glob::matches;

/// The events that start a workflow of GitHub Actions.
pub const EVENTS: [&str; 36] = [
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_call",
    "workflow_dispatch",
    "workflow_run",
];

/// Whether an entry below `on` means an event. `push` means every branch, `push:main` and `tag:v*` those that match;
/// tags are never meant by `push`.
#[must_use]
pub fn selects(on: &str, event: &str, reference: Option<&str>) -> bool {
    match on.split_once(':') {
        Some((name, pattern)) => name == event && reference.is_some_and(|reference| matches(pattern, reference)),
        None => on == event,
    }
}

/// Whether two entries below `on` can mean the same event.
#[must_use]
pub fn overlap(on: &str, other: &str) -> bool {
    match (on.split_once(':'), other.split_once(':')) {
        (Some((name, pattern)), Some((of_other, another))) => {
            name == of_other && (matches(pattern, another) || matches(another, pattern))
        }
        (Some((name, _)), None) => name == other,
        (None, Some((name, _))) => name == on,
        (None, None) => on == other,
    }
}

/// Whether an entry below `on` can mean an event at all.
#[must_use]
pub fn is_known(on: &str) -> bool {
    match on.split_once(':') {
        Some((name, pattern)) => ["push", "tag"].contains(&name) && !pattern.is_empty(),
        None => on == "tag" || EVENTS.contains(&on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_means_its_event() {
        for (on, event, reference, expected) in [
            ("pull_request", "pull_request", None, true),
            ("pull_request", "pull_request_target", None, false),
            ("push", "push", Some("main"), true),
            ("push:main", "push", Some("main"), true),
            ("push:release/*", "push", Some("release/1.2"), true),
            ("push:main", "push", Some("next"), false),
            ("tag:v*", "tag", Some("v1.2"), true),
            ("tag:v*", "tag", Some("model-1"), false),
            ("tag", "tag", Some("anything"), true),
            ("push", "tag", Some("v1.2"), false),
            ("tag:v*", "push", Some("v1.2"), false),
            ("tag:v*", "release", None, false),
        ] {
            assert_eq!(selects(on, event, reference), expected, "{on} for {event} {reference:?}");
        }
    }

    #[test]
    fn entries_overlap_where_one_event_is_meant_by_both() {
        for (on, other, expected) in [
            ("push", "push:main", true),
            ("tag:v*", "tag:v1*", true),
            ("tag:v1*", "tag:v2*", false),
            ("push:main", "tag:main", false),
            ("release", "release", true),
            ("release", "push", false),
        ] {
            assert_eq!(overlap(on, other), expected, "{on} and {other}");
            assert_eq!(overlap(other, on), expected, "{other} and {on}");
        }
    }

    #[test]
    fn what_no_event_is_called_is_not_known() {
        for (on, known) in [
            ("merge_group", true),
            ("tag:v*", true),
            ("tag", true),
            ("tag:", false),
            ("pull-request", false),
            ("release:v*", false),
        ] {
            assert_eq!(is_known(on), known, "{on}");
        }
    }
}
