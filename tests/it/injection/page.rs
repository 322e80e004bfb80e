//! How GitHub makes a page of Markdown, and what of a page is active.

use std::sync::LazyLock;

use comrak::{Options, markdown_to_html};
use regex::Regex;

/// The only character that is not seen and may be there: it breaks what GitHub would make a link of.
pub(super) const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// What GitHub makes of text after Markdown, wherever that happens, and what may trick a reader. Stricter than GitHub.
static ACTIVE: LazyLock<Regex> = LazyLock::new(|| {
    let active = [
        r"@[\p{L}\p{N}]",
        r"#[0-9]",
        r"\b[gG][hH]-[0-9]",
        r"[a-zA-Z]-[0-9]",
        r"(?i)[0-9a-f]{7}",
        r":[\w+-]+:",
        r"(?i)\w:/",
        r"(?i)www\.\w",
        r"[^$]\$|\$[^$]",
        r"\$\$",
        r"[\u{0}-\u{9}\u{b}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{61c}\u{200c}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{e0000}-\u{e0fff}]",
    ];
    Regex::new(&active.join("|")).unwrap()
});

static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new("<[^>]*>").unwrap());

/// The page that GitHub's Markdown makes, HTML and all.
pub(super) fn rendered(markdown: &str) -> String {
    static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(options);
    markdown_to_html(markdown, &OPTIONS)
}

fn options() -> Options<'static> {
    let mut options = Options::default();
    let known = &mut options.extension;
    (known.strikethrough, known.table, known.autolink, known.tasklist) = (true, true, true, true);
    (known.footnotes, known.alerts, known.shortcodes) = (true, true, true);
    (known.math_dollars, known.math_code) = (true, true);
    options.render.r#unsafe = true;
    options
}

/// What GitHub would make active in the text of a page.
pub(super) fn active(page: &str) -> Option<String> {
    texts(page).into_iter().find_map(|text| ACTIVE.find(&text).map(|found| format!("{:?} in {text:?}", found.as_str())))
}

/// A page without its digests, which stand in code, and its decimal numbers: neither is text that GitHub looks into.
pub(super) fn without_numbers(page: &str) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"<code>[0-9a-f]{12}</code>|\d+\.\d+").unwrap());
    NUMBER.replace_all(page, "0").into_owned()
}

/// The texts between the tags of a page.
fn texts(page: &str) -> Vec<String> {
    TAG.split(page).map(unescaped).collect()
}

/// The tags of a page in order.
pub(super) fn tags(page: &str) -> Vec<&str> {
    TAG.find_iter(page).map(|tag| tag.as_str()).collect()
}

/// The text of HTML without tags; what is no entity that an escape makes stays.
pub(super) fn unescaped(html: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
    entities.iter().fold(html.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// Text as HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A page without what is not seen and without how much white space there is.
pub(super) fn normal(page: &str) -> String {
    static SPACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(" *\n *").unwrap());
    let seen = page.replace(ZERO_WIDTH_SPACE, "").replace("<span>$</span>", "$");
    let spaced = seen.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    SPACE.replace_all(&spaced.replace("> ", ">").replace(" <", "<"), "\n").into_owned()
}

/// What a reader sees of a hostile text: one line, every character that hides shown by its number, the end cut.
pub(super) fn shown(text: &str, longest: usize) -> String {
    static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u{fffe}\u{ffff}&&[^\u{600}-\u{605}\u{6dd}\u{70f}\u{890}\u{891}\u{8e2}\u{110bd}\u{110cd}\u{13430}-\u{1345f}]]").unwrap()
    });
    let lined: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let shown = HIDDEN.replace_all(&lined, |found: &regex::Captures<'_>| found[0].escape_unicode().to_string());
    if shown.chars().count() <= longest {
        return shown.into_owned();
    }
    shown.chars().take(longest - 1).chain(['…']).collect()
}

#[test]
fn the_judge_sees_what_is_active() {
    for hostile in ["@octocat", "#12", "GH-12", "0a1b2c3", "$5 and $6 x", "a\u{202e}b", ":made-up:"] {
        let page = rendered(hostile);
        assert!(active(&page).is_some() || page.contains("data-math-style"), "{page}");
    }
    for hostile in
        ["http://x.y", "www.x.y", "a@b.example", "[x](y)", "![x](y)", "<img src=x>", ":tada:", "$x$", "a | b\n-|-"]
    {
        let page = rendered(hostile);
        assert_ne!(normal(&page), normal(&format!("<p>{}</p>\n", escaped(hostile))));
    }
    assert_eq!(active("<p class=\"0a1b2c3d\">performance.regression/roc_auc</p><span>$</span>"), None);
}
