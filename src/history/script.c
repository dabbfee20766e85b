#include "history/script.h"

#include <stdbool.h>
#include <string.h>

#include "base/number.h"

/* A key's five arguments: its last byte's index (-1: no key, -2: no string), head, tail,
 * text, TTL.
 *
 * GETRANGE to one byte beyond the end answers the tail alone only if the length is what
 * it should be: no STRLEN needed. pcall throughout: an error is a result like others.
 * Arguments go through as the strings they are, which the server takes faster than Lua's
 * numbers. */
const char script_source[] =
    "local call, keys, args, type = redis.pcall, KEYS, ARGV, type\n"
    "local j, out = 2, false\n"
    "for n = 1, #keys do\n"
    "  local key, last, head, text = keys[n], args[j], args[j + 1], args[j + 3]\n"
    "  local same, r\n"
    "  if head ~= '' then\n"
    "    r = call('GETRANGE', key, '0', '31')\n"
    "    same = r == head\n"
    "    if same then\n"
    "      local from = last - 31\n"
    "      same = call('GETRANGE', key, from > 0 and from or '0', last + 1) == args[j + "
    "2]\n"
    "    end\n"
    "  else\n"
    "    r = call('GETRANGE', key, '0', '0')\n"
    "    if last == '-1' then\n"
    "      same = r == ''\n"
    "    else\n"
    "      same = type(r) == 'table' and string.find(r.err, 'WRONGTYPE', 1, true)\n"
    "    end\n"
    "  end\n"
    "  local kind, what\n"
    "  if same then\n"
    "    if text ~= '' then\n"
    "      if text == '" SCRIPT_DELETE "' then\n"
    "        r = call('DEL', key)\n"
    "      elseif string.byte(text) == 44 then\n"
    "        r = call('SETRANGE', key, last, text)\n"
    "        if type(r) == 'number' then r = call('PEXPIRE', key, args[j + 4]) end\n"
    "      else\n"
    "        r = call('SET', key, text, 'PX', args[j + 4])\n"
    "      end\n"
    "      if type(r) == 'table' and r.err then kind, what = 'e', r.err end\n"
    "    end\n"
    "  elseif type(r) == 'table' then\n"
    "    if string.find(r.err, 'WRONGTYPE', 1, true) then\n"
    "      kind, what = 't', ''\n"
    "    else\n"
    "      kind, what = 'e', r.err\n"
    "    end\n"
    "  else\n"
    "    local size = call('STRLEN', key)\n"
    "    if type(size) == 'table' then\n"
    "      kind, what = 'e', size.err\n"
    "    elseif size == 0 then\n"
    "      kind, what = 'm', ''\n"
    "    elseif size > args[1] + 0 then\n"
    "      kind = 'l'\n"
    "      what = string.format('%d:', size) .. call('GETRANGE', key, 0, 31) ..\n"
    "             call('GETRANGE', key, size - 32, size)\n"
    "    else\n"
    "      what = call('GET', key)\n"
    "      kind = 'v'\n"
    "      if type(what) == 'table' then kind, what = 'e', what.err end\n"
    "    end\n"
    "  end\n"
    "  if kind then\n"
    "    out = out or {}\n"
    "    local m = #out\n"
    "    out[m + 1], out[m + 2], out[m + 3] = n, kind, what\n"
    "  end\n"
    "  j = j + 5\n"
    "end\n"
    "return out or 1\n";

/* --- guards --- */

static size_t guarded(uint32_t len)
{
    return len < SCRIPT_GUARD_BYTES ? len : SCRIPT_GUARD_BYTES;
}

void script_guard_set(struct script_guard *g, struct text value)
{
    g->len = (uint32_t)value.n;
    size_t n = guarded(g->len);
    if (n > 0) {
        memcpy(g->head, value.p, n);
        memcpy(g->tail, value.p + value.n - n, n);
    }
}

void script_guard_append(struct script_guard *g, struct text text)
{
    char joined[2 * SCRIPT_GUARD_BYTES];
    size_t kept = guarded(g->len) - 1; /* the last byte goes */
    size_t added = text.n < SCRIPT_GUARD_BYTES ? text.n : SCRIPT_GUARD_BYTES;
    if (g->len - 1 < SCRIPT_GUARD_BYTES) {
        size_t from = g->len - 1, room = SCRIPT_GUARD_BYTES - from;
        memcpy(g->head + from, text.p, added < room ? added : room);
    }
    memcpy(joined, g->tail, kept);
    memcpy(joined + kept, text.p + text.n - added, added);
    g->len += (uint32_t)(text.n - 1);
    size_t n = guarded(g->len), have = kept + added;
    memcpy(g->tail, joined + have - n, n);
}

/* --- requests --- */

static void put_length(struct buffer *out, char kind, size_t n)
{
    buffer_char(out, kind);
    buffer_int(out, (int64_t)n);
    buffer_put(out, "\r\n", 2);
}

void resp_array(struct buffer *out, size_t n)
{
    put_length(out, '*', n);
}

void resp_bulk(struct buffer *out, struct text t)
{
    put_length(out, '$', t.n);
    buffer_text(out, t);
    buffer_put(out, "\r\n", 2);
}

void resp_integer(struct buffer *out, int64_t v)
{
    char text[NUMBER_BYTES];
    size_t n = number_print_int(v, text);
    resp_bulk(out, (struct text){text, n});
}

void script_request(struct buffer *out, const char *sha, const struct script_key *keys,
                    size_t n, size_t value_max)
{
    resp_array(out, 4 + 6 * n);
    resp_bulk(out, TEXT("EVALSHA"));
    resp_bulk(out, (struct text){sha, SCRIPT_SHA_BYTES});
    resp_integer(out, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        resp_bulk(out, keys[i].key);
    }
    resp_integer(out, (int64_t)value_max);
    for (size_t i = 0; i < n; i++) {
        const struct script_guard *g = keys[i].guard;
        bool wrong_type = g->len == SCRIPT_LEN_WRONG_TYPE;
        size_t half = wrong_type ? 0 : guarded(g->len);
        resp_integer(out, wrong_type ? -2 : (int64_t)g->len - 1);
        resp_bulk(out, (struct text){g->head, half});
        resp_bulk(out, (struct text){g->tail, half});
        resp_bulk(out, keys[i].text);
        resp_integer(out, keys[i].ttl_ms);
    }
}
