# Takes out of the page's sources what is there for their readers only: comments, indentation, blanks between tokens.
# Strings, templates and regular expressions stay as they are.  What it understands is what the sources have: a
# comment is a line of its own, a template has no other in it, and a line that goes on ends with an operator or comma.
#
# usage: awk -v LANGUAGE=js|css|html -f pack.awk FILE...
{
	sub(/^[ \t]+/, "")
	sub(/[ \t]+$/, "")
}
$0 == "" || (LANGUAGE == "js" && /^\/\//) || (LANGUAGE == "css" && /^\/\*.*\*\/$/) { next }
LANGUAGE == "html" {
	while (match($0, /="[A-Za-z0-9]+"/)) # no text of ours has a quote
		$0 = substr($0, 1, RSTART) substr($0, RSTART + 2, RLENGTH - 3) substr($0, RSTART + RLENGTH)
	print
	next
}
LANGUAGE == "css" {
	gsub(/ *[{};,] */, "&\001")
	gsub(/ *\001/, "")
	gsub(/ *{/, "{")
	gsub(/ *}/, "}")
	gsub(/: /, ":")
	gsub(/;}/, "}")
	printf "%s", $0
	next
}

# Where a regular expression can stand there is no operand before it.
function starts_regex() {
	return last ~ /^[(,=:\[!&|?{};>]?$/
}

# The length of the literal that begins at i; it ends with the same character.
function literal(i, end,    k, c, in_class) {
	for (k = i + 1; k <= length(line); k++) {
		c = substr(line, k, 1)
		if (c == "\\") k++
		else if (end == "/" && c == "[") in_class = 1
		else if (end == "/" && c == "]") in_class = 0
		else if (c == end && !in_class) return k - i + 1
	}
	print "pack: a literal does not end: " line >"/dev/stderr"
	exit failed = 1
}

{
	line = $0
	out = ""
	last = ""
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (c == "\"" || c == "'" || c == "`" || (c == "/" && starts_regex())) {
			n = literal(i, c)
			out = out substr(line, i, n)
			i += n - 1
			last = c
		} else if (c == " ") {
			next_c = substr(line, i + 1, 1)
			if ((last ~ /[A-Za-z0-9_$]/ && next_c ~ /[A-Za-z0-9_$]/) || (last == next_c && last ~ /[-+]/))
				out = out " "
		} else {
			out = out c
			last = c
		}
	}
	gsub(/const /, "let ", out) # no string has this word
	gsub(/const\[/, "let[", out)
	gsub(/const{/, "let{", out)
	# A line break ends a statement, but not behind these, nor before a closing bracket.
	if (before != "" && before !~ /[{(\[,;&|?:+=>]$/ && out !~ /^[})\]]/) printf "\n"
	printf "%s", out
	before = out
}
END { if (LANGUAGE == "js" && !failed) printf "\n" }
