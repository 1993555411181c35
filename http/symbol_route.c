/*
 * /debug/pprof/symbol: names of the functions that hold given addresses.
 *
 * The addresses come in any order and with repeats; names are found in batches
 * of sorted, distinct addresses of one module; the answer has the order of the
 * question.  All memory is the exchange's.
 */
#include <string.h>

#include "http/handlers.h"
#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sort.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/symbols.h"
#include "sampler/unwind/code.h"

static const char intro[] = "num_symbols: 1\n"; /* any number above 0 says: names are to be had */

/* `asked` in the order of the question, `pc` sorted and distinct. */
struct lookup {
	struct arena *arena;
	size_t asked_count;
	uint64_t *asked;
	const char **name;	 /* of asked[i]; NULL if no module holds it */
	struct sort_pair *order; /* (address, index in asked) */
	size_t pc_count;
	uint64_t *pc;
	struct symbol *symbol; /* of pc[i]; without frames if no module holds it */
};

static bool add_digit(uint64_t *n, char c, unsigned int base)
{
	int digit = number_digit(c);

	return digit >= 0 && (unsigned int)digit < base &&
	       !__builtin_mul_overflow(*n, (uint64_t)base, n) &&
	       !__builtin_add_overflow(*n, (uint64_t)digit, n);
}

/* A number as in C: 0x is hexadecimal, 0 octal.  0 for what is no number. */
static uint64_t parse_address(struct http_slice s)
{
	bool hex = slice_starts_nocase(s, "0x");
	unsigned int base = hex ? 16 : s.len && s.at[0] == '0' ? 8 : 10;
	uint64_t n = 0;

	for (size_t i = hex ? 2 : 0; i < s.len; i++)
		if (!add_digit(&n, s.at[i], base))
			return 0;
	return n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Blanks around an address, such as the newline that ends a file, are harmless. */
static struct http_slice trimmed(struct http_slice s)
{
	while (s.len && is_blank(s.at[0]))
		s = slice_from(s, 1);
	while (s.len && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

static size_t count_tokens(struct http_slice question)
{
	size_t count = 0;

	for (size_t i = 0; i < question.len; i++)
		count += question.at[i] != '+' && (i == 0 || question.at[i - 1] == '+');
	return count;
}

static void read_addresses(struct lookup *l, struct http_slice question)
{
	size_t start = 0;

	for (size_t i = 0; i <= question.len; i++) {
		uint64_t pc;

		if (i < question.len && question.at[i] != '+')
			continue;
		pc = parse_address(trimmed((struct http_slice){ question.at + start, i - start }));
		start = i + 1;
		if (pc)
			l->asked[l->asked_count++] = pc;
	}
}

static int sort_addresses(struct lookup *l)
{
	l->order = arena_array(l->arena, l->asked_count, sizeof(*l->order));
	l->pc = arena_array(l->arena, l->asked_count, sizeof(*l->pc));
	if (!l->order || !l->pc)
		return -1;
	for (size_t i = 0; i < l->asked_count; i++)
		l->order[i] = (struct sort_pair){ l->asked[i], i };
	sort_pairs(l->order, l->asked_count);
	for (size_t i = 0; i < l->asked_count; i++)
		if (i == 0 || l->order[i].key != l->order[i - 1].key)
			l->pc[l->pc_count++] = l->order[i].key;
	return 0;
}

/* The run of addresses from `start` that lie in the same module. */
static size_t run_end(const struct lookup *l, size_t start, const struct module *m)
{
	size_t end = start + 1;

	while (end < l->pc_count && module_find(l->pc[end]) == m)
		end++;
	return end;
}

static int resolve_all(struct lookup *l)
{
	size_t end;

	l->symbol = arena_array(l->arena, l->pc_count, sizeof(*l->symbol));
	if (!l->symbol)
		return -1;
	for (size_t i = 0; i < l->pc_count; i = end) {
		const struct module *m = module_find(l->pc[i]);

		end = run_end(l, i, m);
		if (m && symbols_resolve(l->arena, m, l->pc + i, end - i, SYMBOLS_NAMES, INT64_MAX,
					 l->symbol + i))
			return -1;
	}
	return 0;
}

/* The last frame is the function that stands in the file, not one inlined into it. */
static const char *name_of(const struct symbol *s)
{
	return s->frame_count ? s->frame[s->frame_count - 1].name : NULL;
}

static int name_asked(struct lookup *l)
{
	size_t at = 0;

	l->name = arena_array(l->arena, l->asked_count, sizeof(*l->name));
	if (!l->name)
		return -1;
	for (size_t i = 0; i < l->asked_count; i++) {
		while (l->pc[at] != l->order[i].key)
			at++;
		l->name[l->order[i].value] = name_of(&l->symbol[at]);
	}
	return 0;
}

static int look_up(struct lookup *l, struct http_slice question)
{
	l->asked = arena_array(l->arena, count_tokens(question), sizeof(*l->asked));
	if (!l->asked)
		return -1;
	read_addresses(l, question);
	if (l->asked_count == 0)
		return 0;
	code_refresh();
	if (sort_addresses(l) || resolve_all(l))
		return -1;
	return name_asked(l);
}

static size_t answer_size(const struct lookup *l)
{
	size_t size = sizeof(intro);

	for (size_t i = 0; i < l->asked_count; i++)
		if (l->name[i])
			size += strlen("0x0123456789abcdef \n") + strlen(l->name[i]);
	return size;
}

static void write_answer(const struct lookup *l, struct text *t)
{
	text_str(t, intro);
	for (size_t i = 0; i < l->asked_count; i++) {
		if (!l->name[i])
			continue;
		text_str(t, "0x");
		text_hex(t, l->asked[i]);
		text_char(t, ' ');
		text_str(t, l->name[i]);
		text_char(t, '\n');
	}
}

static int answer(struct http_exchange *x, const struct lookup *l)
{
	size_t size = answer_size(l);
	struct text t = { .at = arena_alloc(l->arena, size), .size = size };
	struct http_response r = { .status = 200 };

	if (!t.at)
		return -1;
	write_answer(l, &t);
	r.body = t.at;
	r.body_len = t.len;
	http_respond(x, &r);
	return 0;
}

void symbol_route(struct http_exchange *x, const struct http_request *r)
{
	struct lookup l = { .arena = http_arena(x) };
	bool post = slice_equals(r->method, "POST");

	if (look_up(&l, post ? r->body : r->query) || answer(x, &l))
		http_error(x, 500, "Out of memory.");
}
