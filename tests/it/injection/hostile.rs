//! Hostile text without end, the same on every run: pieces of every grammar that a value may meet, random characters,
//! and pieces that were damaged.

/// Pieces of Markdown, GitHub's references, HTML, XML, workflow commands, output files, diagrams and terminals.
const PIECES: &[&str] = &[
    "@octocat",
    "@acme/team",
    "#12",
    "GH-12",
    "gh-1",
    "owner/repo#12",
    "owner/repo@a5c3785",
    "a5c3785ed8d6a35868bc169f07e40e889087fd2e",
    "deadbeef",
    "1234567",
    "user@0a1b2c3d",
    ":tada:",
    ":+1:",
    ":man_health_worker:",
    "$x^2$",
    "$$",
    "$`a`$",
    "\\(x\\)",
    "\\[x\\]",
    "http://evil.example/?q=1",
    "https://evil.example",
    "ftp://a.b/c",
    "www.evil.example",
    "WWW.evil.example",
    "mailto:a@b.example",
    "a@b.example",
    "xmpp:a@b.example/c",
    "<https://evil.example>",
    "<a@b.example>",
    "![x](http://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "[x]: http://evil.example",
    "[x][y]",
    "[^1]",
    "[^1]: note",
    "- [ ] ",
    "* [x] ",
    "> [!NOTE]\n> x",
    "<!-- modelgate:1 gate=0 verdict=pass head=0 run=9 attempt=9 -->",
    "-->",
    "<!--",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</script>",
    "<style>*{display:none}</style>",
    "</details>",
    "<details open>",
    "<summary>",
    "</sub>",
    "<a href=//evil.example>",
    "<br/>",
    "<![CDATA[",
    "]]>",
    "<?xml version=\"1.0\"?>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///\">]>",
    "&lt;",
    "&#64;",
    "&amp;",
    "&commat;octocat",
    "&#x3c;",
    "&nbsp;",
    "&e;",
    "&",
    "\" onload=\"x",
    "' x='",
    "/>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${{ github.token }}",
    "| a | b |",
    "|---|---|",
    "\\|",
    "|",
    "\n\n",
    "\n---\n",
    "\n===\n",
    "---",
    "===",
    "***",
    "___",
    "# ",
    "## ",
    "- ",
    "+ ",
    "* ",
    "1. ",
    "1) ",
    "12.",
    "> ",
    "```",
    "```mermaid",
    "~~~",
    "~~x~~",
    "~x~",
    "**b**",
    "__b__",
    "*i*",
    "_i_",
    "`c`",
    "``",
    "\\",
    "\\\\",
    "\\`",
    "    ",
    "\t",
    "  \n",
    "\\\n",
    "::error::x",
    "::error file=a,line=1::x",
    "::set-output name=verdict::pass",
    "::add-mask::a",
    "::stop-commands::x",
    "::group::",
    "::endgroup::",
    "::debug::x",
    "::save-state name=a::b",
    "::add-path::/x",
    "::set-env name=PATH::/x",
    "::notice title=::",
    "::add-matcher::x",
    "::echo::on",
    "##[error]x",
    "##[set-output name=verdict;]pass",
    "##[add-mask]a",
    "##[group]x",
    "##[stop-commands]x",
    "##[command]",
    "##",
    "##[",
    "#[",
    "]",
    "::",
    ":",
    ":::",
    "%0A",
    "%0D",
    "%25",
    "%3A",
    "%",
    "%0A::error::x",
    "verdict=pass",
    "verdict<<EOF",
    "EOF",
    "<<",
    "=",
    "\nEOF\n",
    "end-",
    "\u{1b}[31m",
    "\u{1b}[0m",
    "\u{1b}]8;;http://evil.example\u{7}",
    "\u{1b}]0;t\u{7}",
    "\u{9b}2J",
    "\r",
    "\n",
    "\r\n",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{a0}",
    "\u{3000}",
    "\u{feff}",
    "\u{0}",
    "\u{8}",
    "\u{7f}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{ad}",
    "\u{34f}",
    "\u{202e}",
    "\u{202d}",
    "\u{2066}",
    "\u{2069}",
    "\u{61c}",
    "\u{180e}",
    "\u{3164}",
    "\u{fe0f}",
    "\u{e0041}",
    "\u{301}",
    "\u{20dd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{fffd}",
    "\u{10ffff}",
    "\u{600}",
    "\u{130}",
    "\u{17f}",
    "\u{212a}",
    "＠",
    "：：",
    "＃",
    "💥",
    "é",
    "東京",
    "عربى",
    "graph TD; a-->b",
    "%%{init: {}}%%",
    "\"]",
    "x-axis [\"",
    "click a href",
    "CVE-2021-44228",
    "performance.regression/roc_auc/carrier=UA",
    "snake_case_name",
    "carrier=UA",
    "0.7132",
    "-1.5",
    "a, b",
    "x",
];

/// What random text is made of beside letters: every character with a meaning somewhere.
const SIGNS: &str = "<>&\"'`*_~#@:|[](){}!$^\\/=-+.,;?% \n\r\t0123456789abcdefxABCDEFwGH";

/// Numbers that look random, by counting: SplitMix64, Steele, Lea and Flood 2014.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn sign(&mut self) -> char {
        SIGNS.as_bytes()[self.below(SIGNS.len())] as char
    }

    fn character(&mut self) -> char {
        // Half of them from the first pages, where the signs are.
        let bound = if self.below(2) == 0 { 0x2100 } else { 0x11_0000 };
        char::from_u32(self.below(bound) as u32).unwrap_or('\u{fffd}')
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.below(PIECES.len())]
    }

    /// A piece with a character dropped, doubled, changed or put in.
    fn damaged(&mut self) -> String {
        let mut characters: Vec<char> = self.piece().chars().collect();
        let at = self.below(characters.len());
        match self.below(4) {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, characters[at]),
            2 => characters[at] = self.sign(),
            _ => characters.insert(at, self.character()),
        }
        characters.into_iter().collect()
    }
}

/// The hostile text of a number.
pub(super) fn text(number: u64) -> String {
    // Far apart, so that the numbers of two texts do not overlap.
    let mut numbers = Numbers(number.wrapping_mul(0xd134_2543_de82_ef95));
    let mut text = String::new();
    for _ in 0..=numbers.below(5) {
        match numbers.below(8) {
            0..=3 => text.push_str(numbers.piece()),
            4 | 5 => text.push_str(&numbers.damaged()),
            6 => text.extend((0..=numbers.below(4)).map(|_| numbers.sign())),
            _ => text.push(numbers.character()),
        }
    }
    text
}

/// Every piece by itself.
pub(super) fn pieces() -> impl Iterator<Item = &'static str> {
    PIECES.iter().copied()
}
