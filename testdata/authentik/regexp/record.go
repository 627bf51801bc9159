// Writes which texts each expression of a corpus matches in Go's regexp, by which authentik's own outpost
// matches unauthenticated paths. The corpus is corpus.txt, one expression a line, and as many expressions
// again that the program combines at random, the same ones each time.
//
//	go run record.go > recorded.json
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"math/rand"
	"os"
	"regexp"
	"strings"
)

var subjects = []string{
	"", "/", "/public/x", "/api/v1/users", "/health", "/health?x=1", "/x{y}/", "/x{2}/", "/xx/",
	"/a.b+c/", "/aXb+c/", "/7", "/٣", "/é", "/PUBLIC", "/publiC/K", "/publiK", "/ſ", "/a b", "/a\tb",
	"/a\vb", "/line\nbreak", "break", "https://app.example.com/health", "https://app.example.com/health?x=1",
	"https://app.example.com/a&&b", "aaaa", "abcabc", "a-b_c", "[]", "\\d", "{2}", "}", "0123", "S", "\x00",
	"a:b", "^", "$", "|",
}

var parts = []string{
	"a", "b", "c", "/", "x", "7", "é", "K", ".", "^", "$", "|", "(", ")", "(?:", "(?i)", "(?i:", "(?s)", "(?m)",
	"(?-i)", "(?P<n>", "(?<m>", "*", "+", "?", "{2}", "{0,1}", "{1,}", "{,2}", "{", "}", "{y}", `\d`, `\D`, `\w`,
	`\W`, `\s`, `\S`, `\b`, `\.`, `\/`, `\Q`, `\E`, `\z`, `\A`, `\x41`, `\x{e9}`, `\101`, `\n`, `\t`, `\pL`, `\P{Lu}`,
	"[a-c]", "[^a]", `[\d]`, `[^\w]`, "[[:alpha:]]", "[[:^digit:]x]", "[]a]", "[a&&b]", "[a--b]", "[", "]", "-",
	"[/-9]", "[K]", "public", "health", "api",
}

type recorded struct {
	Expression string  `json:"expression"`
	Matches    *string `json:"matches,omitempty"`
}

func record(expression string) recorded {
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return recorded{Expression: expression}
	}
	var matches strings.Builder
	for _, subject := range subjects {
		if compiled.MatchString(subject) {
			matches.WriteByte('1')
		} else {
			matches.WriteByte('0')
		}
	}
	text := matches.String()
	return recorded{expression, &text}
}

func main() {
	var all []recorded
	corpus, err := os.Open("corpus.txt")
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(corpus)
	for lines.Scan() {
		all = append(all, record(lines.Text()))
	}
	random := rand.New(rand.NewSource(1))
	refused := 0
	for len(all) < 2500 {
		var expression strings.Builder
		for range 1 + random.Intn(7) {
			expression.WriteString(parts[random.Intn(len(parts))])
		}
		one := record(expression.String())
		// Most of what is put together at random is no expression; some of it is enough.
		if one.Matches == nil {
			if refused > 700 {
				continue
			}
			refused++
		}
		all = append(all, one)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	// One expression a line, so that a difference is a line.
	names, _ := json.Marshal(subjects)
	out.WriteString("{\"subjects\": ")
	out.Write(names)
	out.WriteString(",\n\"expressions\": [\n")
	for i, one := range all {
		text, _ := json.Marshal(one)
		out.Write(text)
		if i < len(all)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]}\n")
}
