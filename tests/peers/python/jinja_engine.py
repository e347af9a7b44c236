"""What Jinja2 makes of templates, set up as transformers sets it up for chat templates."""

import copy
import json
import random
import signal
import threading

from transformers.utils.chat_template_utils import _cached_compile_jinja_template as compiled

# Each value as an expression of a template. `v` holds it, so that nothing is computed before rendering. A float that is
# no number goes through `map`: Jinja2 cannot write it into the Python that it compiles.
VALUES = [
    "none",
    "true",
    "false",
    "0",
    "1",
    "-7",
    "3",
    "1152921504606846977",
    "1.5",
    "20.0",
    "-0.0",
    "1e22",
    "1e-7",
    "0.1",
    "['nan']|map('float')|first",
    "['-inf']|map('float')|first",
    "''",
    "'a'",
    "'Hello World'",
    "'  pad it \\n'",
    "'12'",
    "' -42.7 '",
    "'ß ǆ ΑΣ ﬁn'",
    "'😀 é\\t٣'",
    "'a,b,,c'",
    "'it\\'s \"<b>\" & co'",
    "'one-two three\\nfour\\r\\nfive'",
    "[]",
    "[3, 1, 2]",
    "['b', 'A', 'c', 'a']",
    "[true, none, 'x', 1.5, 2]",
    "[[1, 2], [3, 4]]",
    "[{'a': 2, 'b': none}, {'a': 1, 'b': 'x'}]",
    "{}",
    "{'a': 1}",
    "{'b': 2.0, 'a': ['x'], 'items': 5}",
    "{1: 'x', none: true, 'k': {'n': []}}",
    "()",
    "(1, 'x')",
    "range(4)",
    "'<i>'|safe",
    "nothing",
    "{'z': 1, 'y': 2}.items()",
    "namespace(x=1)",
]

FILTERS = [
    *"abs capitalize center count d default dictsort e escape filesizeformat first float forceescape groupby('a')".split(),
    *"indent int items join last length list lower max min pprint reverse round safe sort string striptags sum".split(),
    *"title tojson trim truncate unique upper urlencode urlize wordcount wordwrap xmlattr".split(),
    *"items|list reverse|list unique|list batch(2)|list slice(2)|list map('upper')|list select|list".split(),
    "abs|string|length",
    "attr('x')",
    "attr('real')",
    "attr('upper')",
    "batch(2, 'f')|list",
    "batch(3)|map('join', '.')|join('/')",
    "center(12)",
    "default('D')",
    "default('D', true)",
    "dictsort(true)",
    "dictsort(by='value')",
    "dictsort(reverse=true)",
    "filesizeformat(true)",
    "first|string",
    "float(7)",
    "format(1, 2)",
    "groupby(0)",
    "groupby('a', default=0)",
    "indent(2)",
    "indent('>>', true)",
    "indent(2, blank=true)",
    "int(5)",
    "int(base=16)",
    "int(0, 2)",
    "join(', ')",
    "join('-', attribute='a')",
    "join(d=1)",
    "list|length",
    "map(attribute='a')|list",
    "map(attribute='a.b', default='q')|list",
    "map('string')|join('+')",
    "map('length')|list",
    "map('nothing')|list",
    "map(attribute=0)|list",
    "max(attribute='a')",
    "min(case_sensitive=true)",
    "reject('none')|list",
    "rejectattr('a')|list",
    "rejectattr('b', 'none')|list",
    "replace('a', 'X')",
    "replace('', '-')",
    "replace('b', '', 1)",
    "round(1)",
    "round(-1)",
    "round(0, 'ceil')",
    "round(1, 'floor')",
    "round(1)|string",
    "round|int",
    "select('number')|list",
    "select('gt', 1)|list",
    "select('equalto', 'a')|list",
    "selectattr('a')|list",
    "selectattr('a', 'equalto', 1)|list",
    "selectattr('b', 'defined')|list|length",
    "slice(3)|list",
    "slice(2, 'f')|list",
    "sort(reverse=true)",
    "sort(case_sensitive=true)",
    "sort(attribute='a')",
    "sort(attribute='b,a')",
    "string|e",
    "sum(start=10)",
    "sum(attribute='a')",
    "tojson(indent=2)",
    "tojson(ensure_ascii=true)",
    "tojson(separators=(',', ':'))",
    "tojson(sort_keys=true)",
    "tojson(indent='\\t', sort_keys=true)",
    "tojson|length",
    "trim('a ')",
    "trim('\\n')|length",
    "truncate(5)",
    "truncate(5, true)",
    "truncate(9, false, '…', 0)",
    "unique(attribute='a')|list",
    "unique(true)|list",
    "urlencode|length",
    "wordwrap(5)",
    "wordwrap(4, false)",
    "wordwrap(6, wrapstring='/', break_on_hyphens=false)",
    "xmlattr(false)",
    "upper(1)",
    "nosuchfilter",
    "items|map('first')|list",
    "list|last",
    "safe ~ '<'",
    "escape|upper + '<'",
]

TESTS = [
    *"boolean callable defined escaped even false filter float integer iterable lower mapping none number odd".split(),
    *"sequence string test true undefined upper divisibleby(3) sameas(none) sameas(true) in([1,'a']) in('abc')".split(),
    *["eq(1)", "ne 1", "lt(2)", "ge 1.5", "equalto 'a'", "divisibleby 2", "nosuchtest", "not none", "not string"],
]

EXPRESSIONS = [
    *["v", "[v]", "{'k': v}", "(v,)", "(v, v)", "v ~ '|' ~ v", "[[v], {'x': (v,)}]", "not v", "-v", "+v", "v and 'y'"],
    *["v or 'n'", "'T' if v else 'F'", "v if v", "v == v", "v != v", "v < v", "v in [v]", "v in v", "1 in v", "'a' in v"],
    *["v not in 'xa'", "v + v", "v * 2", "2 * v", "v - 1", "v / 2", "v // 2", "v % 2", "v ** 2", "1 / v", "7 // v"],
    *["-7 % v", "7.5 % v", "-7 // v", "v[0]", "v[-1]", "v[5]", "v['a']", "v.a", "v.b", "v.x", "v.items", "v['items']"],
    *["v.items()", "v.items()|list", "v.keys()", "v.keys()|list", "v.values()|list", "v.get('a')", "v.get('zz', 'D')"],
    *["v.get('b')", "v.get(1)", "v.copy()", "v.count('a')", "v.index('a')", "v.count(1)", "v.index(2)", "v.append(1)"],
    *["v.pop()", "v.update({})", "v.__class__", "v.__class__.x", "v._x", "v['__len__']", "v.__len__()", "v.real", "v.imag"],
    *["v.is_integer()", "v.bit_length()", "v.numerator", "v.start", "v.constructor", "v.length", "v.toString()"],
    *["v[1:]", "v[:2]", "v[::-1]", "v[-2:]", "v[::2]", "v[5:1:-2]", "v[none:1]", "v['a':]", "v[1:2, 3]", "v[1, 2]"],
    *["v()", "v(1)", "v[v]", "v.0", "v[true]", "v[1.0]", "dict(v)", "dict(v, q=1)", "dict(a=v)", "dict.fromkeys(v)"],
    *["range(v)|list", "namespace(v)", "namespace(a=v).a", "cycler(v, 2).next()", "joiner(v)()", "range(v, 5)|list"],
    *["v == 1", "v == 'a'", "v == []", "v == none", "v < 'b'", "v < 2", "v >= 1.5", "1 < v < 20", "v == true"],
    *["v|list is iterable", "v.grouper", "raise_exception(v)", "v ~ none", "[v] == [v]", "[1] + v", "{'a': 1} == v"],
    *["[v, v]|unique|list|length", "{v: 1}", "v is sameas v", "v.title is callable", "v|string == v ~ ''"],
    *["''.join(v)", "'-'.join(v)", "'a'.replace(v, 'b')", "'abc'.find(v)", "'a b'.split(v)", "' a '.strip(v)"],
    *["'abc'.startswith(v)", "'abc'.center(v)", "'abc'[v]", "[1, 2][v]", "{1: 'one', 'a': 'A'}[v]", "'ab' * v", "[0] * v"],
    *["'x%sy' % v", "'%d' % v", "'%5.1f|' % v", "'%r' % v", "'%x' % v", "'%(a)s' % v", "'%s %s' % v", "'%-6s|' % v"],
    *["'%+d' % v", "'%e' % v", "'%g' % v", "'%05d' % v", "'%c' % v", "'%i%%' % v", "'%.3s' % v", "'plain' % v", "'%o' % v"],
    *["'%#x' % v", "'%a' % v", "'%*d' % (6, v)", "'%s' % (v,)", "'%q' % v", "'%' % v", "'% d' % v", "'%.2g' % v", "'%G' % v"],
    *["'{}'.format(v)", "'{0}-{0}'.format(v)", "'{x}'.format(x=v)", "'{:>8}|'.format(v)", "'{!r:<9}|'.format(v)"],
    *["'{:.2f}'.format(v)", "'{:,}'.format(v)", "'{:05d}'.format(v)", "'{:e}'.format(v)", "'{:%}'.format(v)"],
    *["'{:x}'.format(v)", "'{:+}'.format(v)", "'{:^9}|'.format(v)", "'{:g}'.format(v)", "'{:_}'.format(v)", "'{:b}'.format(v)"],
    *["'{:*^10}'.format(v)", "'{:.3}'.format(v)", "'{:=+9}'.format(v)", "'{:s}'.format(v)", "'{:#x}'.format(v)"],
    *["'{0[a]}'.format(v)", "'{0.real}'.format(v)", "'{a}'.format_map(v)", "'{a}'.format(**v)", "'{:08.3f}'.format(v)"],
    *["'{:c}'.format(v)", "'{:n}'.format(v)", "'{:G}'.format(v)", "'{:.0f}'.format(v)", "'{:,.1f}'.format(v)", "'{:{}}'.format(v, 7)"],
    *["'{!s}'.format(v)", "'{!a}'.format(v)", "'{0} {}'.format(v)", "'{'.format(v)", "'{{}}'.format(v)", "'{1}'.format(v)"],
]

STRING_METHODS = [
    *"capitalize casefold isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable".split(),
    *"isspace istitle isupper lower lstrip rstrip split splitlines strip swapcase title upper".split(),
]
STRING_CALLS = [
    *[f"{name}()" for name in STRING_METHODS],
    *["center(11, '*')", "center(4)", "ljust(8, '.')", "rjust(8)", "zfill(6)", "expandtabs(4)", "count('')", "find('a')"],
    *["find('o', 5)", "rfind('o')", "index('e')", "rindex('zz')", "count('l', 1, -1)", "startswith(('H', 'a'))"],
    *["startswith('a', 1)", "endswith('d')", "endswith('')", "partition(' ')", "rpartition(' ')", "partition('')"],
    *["removeprefix('a')", "removesuffix('c')", "replace('a', 'bb')", "replace('', '.', 2)", "split(' ')", "split(',', 1)"],
    *["rsplit(' ', 1)", "rsplit(none, 1)", "split(none, 1)", "split(maxsplit=1)", "rsplit(',')", "split('')", "splitlines(true)"],
    *["strip(' aH')", "lstrip('\\n ')", "rstrip('d')", "strip(none)", "join(['x', 'y'])", "join([1])", "translate({97: 'b'})"],
    *["encode()", "format()", "upper(1)", "nosuch()", "isspace", "upper", "lstrip(chars='a')", "replace('a')", "title() ~ '|'"],
    *["maketrans('ab', 'xy')", "translate('x'.maketrans('ao', '01'))", "find('a', none, 2)", "startswith(1)"],
]

PAIR_VALUES = [
    *["none", "true", "0", "-7", "3", "9007199254740993", "1.5", "-2.0", "['nan']|map('float')|first", "''", "'ab'", "'%s|%s'", "[]"],
    *["[1, 'a']", "()", "(1, 2)", "{'a': 1}", "range(3)", "'<i>'|safe", "nothing"],
]
OPERATORS = [*"+ - * / // % ** ~ == != < <= > >= in and or".split(), "not in", "is in"]

WHITESPACE = [
    "a\n  {%A if true B%}  \n  b\n {%A endif B%} \nc",
    "  {{A 'x' B}}  \n y {{A 'z' B}}\n\n",
    " \n {#A note B#}  \n t\n",
    "a {%A raw B%} {{ no }} \n {%A endraw B%} \n b",
    "{% for i in [1, 2] A%}\n  {%B if i == 1 %}\n  one\n  {% endif %}\n{% endfor %}\n.",
    "x\r\n  {%A set y = 1 B%}\r\ny\r{{ y }}\r\n",
    "\t{%A set y %} q {% endset B%}\n[{{ y }}]",
    "a{#A b B#}\n\n{% if 1 A%} c {% endif B%}\n\n",
    " {%A macro m() B%}\n  in \n{%A endmacro B%}\n [{{ m() }}]",
    "  {% generation A%}\n  text \n {%B endgeneration %}\n after",
]

TEMPLATES = [
    "{% for x in [1,2,3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in 'abc' %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in [1,1,2] %}{{ loop.changed(x) }}{{ loop.cycle('a','b') }}{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}",
    "{% for x in [1,2] %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in [1,2] %}{% break %}{% else %}else{% endfor %}",
    "{% for x in [1,2,3,4] if x % 2 %}{{ x }}/{{ loop.length }}{{ loop.last }} {% endfor %}",
    "{% for x in [1,2,3,4] if x > 9 %}{{ x }}{% else %}empty{% endfor %}",
    "{% for a, b in [(1,2),[3,4]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [(1,2,3)] %}{{ a }}{% endfor %}",
    "{% for a, (b, c) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for k, v in {'x': 1, 'y': 2}.items() if v > 1 %}{{ k }}{{ loop.previtem }}{% endfor %}",
    "{% for x in [[1,[2,3]],[4]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in [1] %}{{ loop([2]) }}{% endfor %}",
    "{% for x in [1,2] %}{% for y in [3,4] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = i + 5 %}{{ x }} {% endfor %}{{ x }}",
    "{% for i in [1,2] %}{% if i == 1 %}{% set y = 'a' %}{% endif %}[{{ y }}]{% endfor %}",
    "{% if true %}{% set q = 3 %}{% endif %}{{ q }}",
    "{% if false %}{% set q = 3 %}{% endif %}[{{ q }}]{{ q is defined }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in range(5) %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }}{{ ns.s }}{{ ns }}",
    "{% set ns.x = 1 %}",
    "{% set d = {} %}{% set d.x = 1 %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set ns = namespace(_x=1) %}",
    "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}",
    "{% set a, b = 1 %}",
    "{% set x %}  hi {{ 1 + 1 }}{% endset %}[{{ x }}]",
    "{% set x | upper | trim %} hi {% endset %}[{{ x }}]",
    "{% set x | length %}abc{% endset %}{{ x + 1 }}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, c='z') }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}",
    "{% macro m(x) %}{{ caller(x) }}{% endmacro %}{% call(y) m(4) %}<{{ y }}>{% endcall %}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{% endcall %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}",
    "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.caller }}{{ m }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% set x = 'outer' %}{% macro m() %}{{ x }}{% set x = 'in' %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{% macro m() %}{{ late }}{% endmacro %}{% set late = 1 %}{{ m() }}",
    "{{ m() }}{% macro m() %}{% endmacro %}",
    "{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}[{{ m }}]",
    "{% filter upper %}abc {{ 'x' }}{% endfilter %}",
    "{% filter replace('a', 'b') | title %}abc dae{% endfilter %}",
    "{% filter length %}abc{% endfilter %}",
    "{% for x in [1,2,3] %}{% filter upper %}a{% if x == 2 %}{% break %}{% endif %}{% endfilter %}{% endfor %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}[{{ a }}]",
    "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set z = 1 %}{{ z }}{% endwith %}[{{ z }}]",
    "{% block a %}x{{ y }}{% endblock %}{{ self.a() }}",
    "{% set y = 1 %}{% block a %}{{ y }}{% endblock %}{% for i in [1] %}{% block b scoped %}{{ i }}{% endblock %}{% block c %}[{{ i }}]{% endblock %}{% endfor %}",
    "{% block a %}1{% endblock %}{% block a %}2{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{% block a required %}{% endblock %}",
    "{% include 'x' %}",
    "{% include 'x' ignore missing %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y, z as q with context %}",
    "{% extends 'x' %}",
    "{% if false %}{% include 'x' %}{% endif %}ok",
    "{% print 1, 2 %}{% print %}",
    "{% raw %}{{ x }}{% endraw %}{% raw -%}  y {%- endraw %}",
    "{# c #}{#- d -#} e {#",
    "{{ 'a' 'b' \"c\" }}{{ 1_000 + 0x1f + 0b11 + 0o17 }}{{ 1e3 }}{{ 1_0.5e-1 }}",
    "{{ '\\u00e9\\x41\\101\\n\\t\\\\\\q\\'' }}{{ '\\\nx' }}",
    "{{ '\\é' }}{{ '\\😀' }}",
    "{{ 'a\r\nb' }}|",
    "{{ 1 if false }}|{{ (1 if false) is defined }}|{{ 1 if false else 2 if true else 3 }}",
    "{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}{{ 1 == 1.0 == true }}{{ not 1 == 2 }}{{ 1 in [1] in [[1]] }}",
    "{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 2 ** -1 }}{{ 2 ** 0.5 }}{{ 10 ** 30 }}{{ (-8) ** 0.5 }}",
    "{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % -3 }}{{ -7.5 // 2 }}{{ -7.5 % 2 }}{{ 7 / 2 }}{{ 6 / 2 }}{{ 1 // 0 }}",
    "{{ 10**20 / 3 }}{{ 10**400 // 10**399 }}{{ (10**25) % 7 }}{{ 10**25 * 1.0 }}{{ 2**53 + 1 }}",
    "{{ 1 + true }}{{ true + true }}{{ -true }}{{ true * 'ab' }}{{ 3 - false }}{{ true / 2 }}",
    "{{ 'a' ~ 1 ~ 2.0 ~ none ~ [1] ~ nothing }}",
    "{{ nothing }}{{ nothing.x }}",
    "{{ nothing + 1 }}",
    "{{ nothing['x'] }}",
    "{{ nothing is defined }}{{ nothing|default('d') }}{{ nothing == missing }}{{ nothing|list }}{{ nothing|length }}",
    "{{ {'a': {}}.a.b }}|{{ {'a': {}}.a.b.c }}",
    "{{ none.x }}|{{ none['x'] }}|{{ none[0] }}",
    "{{ (1, 2) + (3,) }}{{ (1,) }}{{ () }}{{ (1) }}{{ [1, 2,] }}{{ {'a': 1,} }}",
    "{{ [1, 2, 3][1:][0] }}{{ 'hello'[1:3] }}{{ '😀a😀'[1:] }}{{ '😀'|length }}{{ 'a😀b'[::-1] }}{{ '😀x'[0] }}",
    "{{ [x for x in y] }}",
    "{{ {1, 2} }}",
    "{{ x = 1 }}",
    "{{ 'abc }}",
    "{{ (1 }}",
    "{{ 1 } }}",
    "{{ 1 ! 2 }}",
    "{{ a.1.b }}{{ a.'x' }}",
    "{% nosuch %}",
    "{% if %}{% endif %}",
    "{% if 1 %}",
    "{% for x in y %}",
    "{% endif %}",
    "{% if 1 %}{% endfor %}",
    "{% set true = 1 %}",
    "{% set 1 = 1 %}",
    "{% set a.b.c = 1 %}",
    "{% for loop in [1] %}{% endfor %}",
    "{% for x in [1] %}{% set loop = 1 %}{% endfor %}",
    "{% break %}",
    "{% for x in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% macro m(caller) %}{{ caller }}{% endmacro %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{{ f(a=1, 2) }}",
    "{{ f(**{'a': 1}, b=2) }}",
    "{{ dict(*[[['a', 1]]], **{'b': 2}) }}{{ range(*[1, 3])|list }}",
    "{{ x|nosuch }}",
    "{% if false %}{{ x|nosuch }}{% endif %}ok",
    "{% if true %}{{ x|nosuch }}{% endif %}ok",
    "{{ 1 if true else x|nosuch }}",
    "{{ x is nosuch }}",
    "{{ 'upper' is filter }}{{ 'x' is filter }}{{ 'odd' is test }}{{ 1 is not none }}{{ not 1 is none }}",
    "{{ 5 is divisibleby 5 }}{{ 5 is divisibleby(2) }}{{ 1 is in [1] }}{{ 'a' is in 'abc' }}{{ 3 is gt 2 and 1 is lt 2 }}",
    "{{ 1 is defined is defined }}",
    "{{ -1|abs }}{{ -1.5|int }}{{ (-1)|abs }}{{ 3.7|int + 1 }}{{ '3' * 2|int }}",
    "{{ range(100001) }}",
    "{{ range(0, 10, 3)|list }}{{ range(5, 0, -2)|list }}{{ range(3) }}{{ range(0) == range(1, 1) }}{{ range(5)[1:3] }}",
    "{{ range(1, 2, 0) }}",
    "{{ dict(a=1, b=[2]) }}{{ dict() }}{{ dict([('x', 1)]) }}{{ dict.fromkeys('ab', 0) }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner('; ') %}{% for x in 'ab' %}{{ j() }}{{ x }}{% endfor %}",
    "{{ raise_exception('stop: ' ~ 1) }}",
    "{{ cycler() }}",
    "{% set g = [1,2]|map('string') %}{{ g|join }}-{{ g|join }}",
    "{% set ns = namespace(go=true) %}{% for x in [1,2,3] if ns.go %}{{ x }}{% set ns.go = false %}{% endfor %}",
    "{% set ns = namespace(go=true) %}{% for x in [1,2,3] if ns.go %}{{ x }}{{ loop.last }}{% set ns.go = false %}{% endfor %}",
    "{{ [1, 2, 3]|first }}{{ []|first }}{{ 'abc'|last }}{{ {'a': 1}|first }}{{ [none]|first }}",
    "{{ [none, 1]|map('default', 'x')|list }}{{ [{'a': none}]|map(attribute='a')|list }}",
    "{{ {'a': none}.get('a', 1) }}{{ {'a': none}.a }}{{ {'a': none}['a'] }}",
    "{% for x in [none, 1] %}{{ x }}{{ loop.nextitem }}{% endfor %}",
    "{{ '%s' % none }}{{ '%s' % [1] }}{{ '%s %s' % (1, 'x') }}{{ '%(a)s' % {'a': none} }}",
    "{{ 'x' is string and not 'x' is number or false }}",
    "{{ true and 1 }}{{ 0 or '' }}{{ none or [] }}{{ 1 and 0 and 2 }}",
    "{% if [] or {} or '' or 0 or none %}t{% elif 0.0 %}u{% elif 'x' %}v{% else %}w{% endif %}",
    "{{ 1e400 }}{{ -1e400 }}{{ 1e-400 }}{{ 123456789012345678 }}{{ 1.0 }}{{ 1e16 }}{{ 1e15 }}{{ 0.0001 }}{{ 0.00001 }}",
    "{{ 2.5|round }}{{ 3.5|round }}{{ 2.675|round(2) }}{{ 1234.5|round(-2) }}{{ 15|round(-1) }}{{ 25|round(-1) }}{{ 0.5|round|int }}",
    "{{ '%.0f' % 0.5 }}{{ '%.0f' % 1.5 }}{{ '%.2f' % 0.125 }}{{ '%.1f' % 0.25 }}{{ '%.20f' % 0.1 }}{{ '%g' % 100000 }}{{ '%g' % 1e6 }}",
    "{{ '{:.1f}'.format(0.25) }}{{ '{:,}'.format(1234567.891) }}{{ '{:010,}'.format(1234) }}{{ '{:_b}'.format(1000) }}",
    "{{ \"it's\" | tojson }}{{ '\\u2028\\x7f\\x00é' | tojson }}{{ 1.0|tojson }}{{ {1: 2, none: 3, true: 4}|tojson }}",
    "{{ [1, [2, {}], []]|tojson(indent=1) }}{{ []|tojson(indent=0) }}{{ [1]|tojson(indent=0) }}{{ {(1,): 2}|tojson }}",
    "{{ {'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true, separators=(',', ':')) }}{{ nothing|tojson }}",
    "{{ ['1', '10', '9']|sort }}{{ [2, true, 1.5]|sort }}{{ ['b', 'A']|sort }}{{ [1, 'a']|sort }}",
    "{{ [{'a': 'x', 'n': 1}, {'a': 'X', 'n': 2}, {'a': 'y', 'n': 3}]|groupby('a') }}",
    "{% for g in [{'a': 1}, {'a': 2}, {'a': 1}]|groupby('a') %}{{ g.grouper }}:{{ g.list|length }};{% endfor %}",
    "{{ ' a  b '.split() }}{{ ' a  b '.split(' ') }}{{ 'a-b-c'.rsplit('-', 1) }}{{ '\\x1ca\\x85'.strip()|length }}{{ '\\ufeffa'.strip()|length }}",
    "{{ 'ΑΣ'.lower() }}{{ 'ΑΣΑ'.lower() }}{{ 'straße'.upper() }}{{ 'ǆab'.title() }}{{ 'ﬁx'.capitalize() }}{{ \"they're bill's\".title() }}{{ \"they're x-y\"|title }}",
    "{{ 'İ'.lower()|length }}{{ 'ŉa'.title() }}{{ 'ᾳ'.title() }}{{ 'ა'.title() }}{{ 'ẞ'.casefold() }}{{ 'ꭰ'.casefold() }}",
    "{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ '五'.isnumeric() }}{{ '½'.isnumeric() }}{{ '٣'.isdecimal() }}{{ '٣'|int }}{{ 'é'.isalpha() }}",
    "{{ ['a\\nb', \"q'q\", 'q\"\\'', '\\x00\\x7f\\xa0\\u200b', '😀', '\\\\'] }}",
    "{{ '<a>'|e }}{{ '<a>'|safe|e }}{{ ('<'|e) ~ '<' }}{{ ('<'|e) + '<' }}{{ '<b>%s</b>'|safe % '<' }}{{ ('{}'|safe).format('<') }}",
    "{{ ['<', '&'|safe]|join(',') }}{{ ('<p>'|safe).upper() }}{{ ('a'|safe) is escaped }}{{ ['x'|safe] }}{{ (', '|safe).join(['<', '>'|safe]) }}",
    "{{ '<p>a &amp; <!-- c --> b</p>'|striptags }}{{ 'http://a.b (www.x.com). me@x.org'|urlize }}{{ {'q': 'a b/c', 'ü': 1}|urlencode }}{{ 'a b/ü'|urlencode }}",
    "{{ {'class': 'x', 'n': none, 'd': '<'}|xmlattr }}{{ 123456|filesizeformat }}{{ 1|filesizeformat }}{{ 3000000|filesizeformat(true) }}",
    "{% autoescape false %}{{ '<' }}{% endautoescape %}",
    "{{ loop }}{{ self }}{{ caller }}",
    "{% generation %}a{{ caller }}{% endgeneration %}b{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "{% macro m() %}{% generation %}g{% endgeneration %}{% endmacro %}a{{ m() }}",
    "{{ ''.join(['a', 'b']) }}{{ [1, 2]|join(', ') }}{{ 'abc'|join('.') }}{{ {'a': 1}|join }}",
    "{{ strftime_now is callable }}",
    "{{ 'a'.__class__.__mro__ }}",
    "{{ ''.__class__ }}{{ [].__len__ }}{{ {}.__init__ }}|",
    "{{ {}.__proto__ }}{{ {}.constructor }}{{ [].length }}{{ {'length': 3}.length }}{{ {'keys': 1}.keys }}",
    "{{ [].append(1) }}",
    "{{ {'update': 1}['update'] }}{{ {}['update'] }}|",
    "{{ 'x'.format_map({'a': 1}) }}{{ '{a.__class__}'.format(a=1) }}{{ '{0.b}'.format({'b': 2}) }}{{ '{0[b]}'.format({'b': 3}) }}",
    "{{ lipsum is callable }}{{ range is callable }}{{ namespace is callable }}{{ dict is callable }}{{ 1 is callable }}",
]


class _Timeout(BaseException):
    pass


def _stop(*_):
    raise _Timeout


def rendered(template, **variables):
    """The text, or None where Jinja2 refuses or prints a function with its address in memory."""
    # Only the main thread can be interrupted; what is asked by others is known to end.
    is_limited = threading.current_thread() is threading.main_thread()
    try:
        if is_limited:
            signal.signal(signal.SIGALRM, _stop)
            signal.setitimer(signal.ITIMER_REAL, 3)
        text = compiled(template).render(**variables)
        text.encode()
    except (Exception, _Timeout):
        return None
    finally:
        if is_limited:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return None if " at 0x" in text or "<bound method" in text else text


def render_all(templates):
    """The text of each template, or None."""
    return [rendered(template) for template in templates]


def unary_templates():
    filters = ["{{ v|" + one + " }}" for one in FILTERS]
    tests = ["{{ v is " + one + " }}" for one in TESTS]
    expressions = ["{{ " + one + " }}" for one in EXPRESSIONS]
    methods = ["{{ v." + one + " }}" for one in STRING_CALLS]
    loops = [
        "{% for x in v %}{{ loop.index }}{{ x }}{{ loop.last }};{% else %}none{% endfor %}",
        "{% for a, b in v %}{{ a }}={{ b }};{% endfor %}",
        "{% if v %}yes{% else %}no{% endif %}",
        "{% set a, b = v %}{{ a }}{{ b }}",
        "{% filter replace('x', v) %}axb{% endfilter %}",
        "{% for x in v recursive %}{{ x }}{% endfor %}",
    ]
    return [*filters, *tests, *expressions, *methods, *loops]


def golden():
    unary = unary_templates()
    pairs = [f"{{{{ a {one} b }}}}" for one in OPERATORS]
    marks = [(a, b) for a in ("", "-", "+") for b in ("", "-", "+")]
    plain = [
        *TEMPLATES,
        *[one.replace("A", a).replace("B", b) for one in WHITESPACE for a, b in marks],
    ]
    return {
        "values": VALUES,
        "unary": [[one, [rendered("{% set v = " + v + " %}" + one) for v in VALUES]] for one in unary],
        "pairValues": PAIR_VALUES,
        "pairs": [
            [one, [[rendered("{% set a = " + a + " %}{% set b = " + b + " %}" + one) for b in PAIR_VALUES] for a in PAIR_VALUES]]
            for one in pairs
        ],
        "templates": [[one, rendered(one)] for one in plain],
    }


class Writer:
    """Random templates, most of which render. Numbers stay small, so that every one ends."""

    KEYS = ["'a'", "1", "s", "n", "none"]
    NAMES = ["a", "b", "c", "xs", "d", "s", "n", "ms"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *options):
        return self.random.choice(options)

    def some(self, write, low=0, high=3):
        return [write() for _ in range(self.random.randint(low, high))]

    def text(self):
        return self.pick("a", " b ", "\n", "x y\n", "  ", "\n  ", "ä😀", "\t|", "<|im_start|>", "{", "}}", "%}", "#")

    def literal(self):
        return self.pick(
            "0", "1", "2", "-3", "7", "1.5", "2.0", "0.1", "true", "false", "none", "''", "'a'", "'b c'", "\"it's\"", "'é😀'",
            "'\\n'", "[]", "[1, 2, 3]", "['x', 'Y']", "{}", "{'k': 1, 'a': 'v'}", "(1, 'q')", "range(3)",
        )  # fmt: skip

    def expression(self, depth=2):
        if depth <= 0:
            return self.pick(self.literal, lambda: self.random.choice(self.NAMES))()
        inner = lambda: self.expression(depth - self.random.randint(1, 2))
        kinds = [
            lambda: self.literal(),
            lambda: self.random.choice(self.NAMES),
            lambda: f"{inner()} {self.pick('+', '-', '*', '/', '//', '%', '~', '==', '!=', '<', '>', '<=', '>=')} {inner()}",
            lambda: f"{inner()} {self.pick('and', 'or', 'in', 'not in')} {inner()}",
            lambda: f"({inner()})",
            lambda: f"not {inner()}",
            lambda: f"-{inner()}",
            lambda: f"{inner()} if {inner()}" + self.pick("", f" else {inner()}"),
            lambda: f"[{', '.join(self.some(inner))}]",
            lambda: f"({inner()}, {inner()})",
            lambda: "{" + ", ".join(self.some(lambda: f"{self.random.choice(self.KEYS)}: {inner()}", 0, 2)) + "}",
            lambda: f"{self.primary(inner)}.{self.pick('a', 'k', 'x', 'items', 'role', 'content', 'real')}",
            lambda: f"{self.primary(inner)}[{self.pick('0', '-1', '1', 's', 'n')}]",
            lambda: f"{self.primary(inner)}[{self.pick('', '1', '-2')}:{self.pick('', '2', '-1')}{self.pick('', ':2', ':-1')}]",
            lambda: f"{self.primary(inner)}.{self.random.choice(STRING_CALLS)}",
            lambda: f"{self.primary(inner)}.{self.pick('items()', 'keys()', 'values()', 'get(s)', 'get(1, n)', 'count(n)', 'index(1)')}",
            lambda: f"{self.primary(inner)}|{self.random.choice(FILTERS)}",
            lambda: f"{self.primary(inner)}|{self.random.choice(FILTERS)}|{self.random.choice(FILTERS)}",
            lambda: f"{self.primary(inner)} is {self.pick('', 'not ')}{self.random.choice(TESTS)}",
            lambda: f"'{self.pick('%s', '%d|', '%5.2f', '%r', '%s %s', '%(a)s')}' % {inner()}",
            lambda: f"'{self.pick('{}', '{0}{0}', '{:>5}', '{!r}', '{a}')}'.format({inner()}{self.pick('', ', a=1')})",
            lambda: f"{self.pick('m', 'range', 'dict', 'namespace', 'loop.cycle')}({', '.join(self.some(inner, 0, 2))})",
            lambda: f"loop.{self.pick('index', 'last', 'first', 'length', 'revindex', 'previtem', 'nextitem', 'depth')}",
        ]
        return self.random.choice(kinds)()

    def primary(self, inner):
        return self.pick(lambda: self.random.choice(self.NAMES), lambda: f"({inner()})", self.literal)()

    def tag(self, code):
        return "{%" + self.pick("", "", "", "-", "+") + f" {code} " + self.pick("", "", "", "-", "+") + "%}"

    def body(self, depth):
        return "".join(self.some(lambda: self.statement(depth - 1), 0, 3))

    def statement(self, depth=2):
        name = self.random.choice(self.NAMES)
        plain = [
            self.text,
            self.text,
            lambda: "{{" + self.pick("", "-") + f" {self.expression()} " + self.pick("", "-") + "}}",
            lambda: "{{ " + self.expression(1) + " }}",
            lambda: self.tag(f"set {name} = {self.expression()}"),
            lambda: self.tag(f"set ns.{self.pick('v', 'w')} = {self.expression(2)}"),
            lambda: "{{ ns.v }}",
            lambda: "{#" + self.pick("", "-") + " c " + self.pick("", "-") + "#}",
        ]
        if depth <= 0:
            return self.random.choice(plain)()
        body = lambda: self.body(depth)
        blocks = [
            lambda: self.tag(f"if {self.expression(2)}") + body() + self.tag("endif"),
            lambda: self.tag(f"if {self.expression(2)}") + body() + self.tag(f"elif {self.expression(1)}") + body() + self.tag("else") + body() + self.tag("endif"),
            lambda: self.tag(f"for {name} in {self.expression(2)}") + body() + self.tag("endfor"),
            lambda: self.tag(f"for {name} in {self.primary(lambda: 'xs')}{self.pick('', f' if {self.expression(1)}')}") + body() + self.pick("", self.tag("continue"), self.tag("break")) + self.tag("else") + body() + self.tag("endfor"),
            lambda: self.tag("for k, v in d.items()") + "{{ k }}{{ v }}" + body() + self.tag("endfor"),
            lambda: self.tag("for m in ms") + "{{ m.role }}{{ m.content }}" + body() + self.tag("endfor"),
            lambda: self.tag("for x in [xs, [1, [2]]] recursive") + "{{ loop(x) if x is not string and x is iterable else x }}" + self.tag("endfor"),
            lambda: self.tag(f"set {name}{self.pick('', '|upper', '|trim')}") + body() + self.tag("endset"),
            lambda: self.tag(f"with {name} = {self.expression(2)}") + body() + self.tag("endwith"),
            lambda: self.tag(f"filter {self.pick('upper', 'trim', 'indent(2)', 'replace(s, n)', 'title')}") + body() + self.tag("endfilter"),
            lambda: self.tag(f"macro m({self.pick('', 'a', 'a, b=2', 'a=s')})") + body() + self.tag("endmacro"),
            lambda: self.tag("macro w(a)") + "[{{ caller(a) }}]" + self.tag("endmacro") + self.tag("call(q) w(n)") + "{{ q }}" + body() + self.tag("endcall"),
            lambda: self.tag("generation") + body() + self.tag("endgeneration"),
            lambda: self.tag("raw") + body() + self.tag("endraw"),
        ]
        return self.random.choice(plain + blocks)()

    def template(self):
        return "".join(self.some(self.statement, 1, 4))


VARIABLES = {
    "a": 1,
    "b": "two words",
    "xs": [3, 1.5, "x", None, True],
    "d": {"k": "v", "a": [1, 2], "z": {"n": None}},
    "s": "a",
    "n": 2,
    "ms": [{"role": "user", "content": "Hi 😀"}, {"role": "assistant", "content": "  Yes\n"}],
}


def random_renderings(seed, count):
    """Random templates with what they give, and the variables of all of them."""
    writer = Writer(seed)
    sources = ["{% set ns = namespace(v=0) %}" + writer.template() for _ in range(count)]
    # `list|indent` changes the list before it fails, so each template gets its own.
    return {"variables": VARIABLES, "cases": [[source, rendered(source, **copy.deepcopy(VARIABLES))] for source in sources]}


if __name__ == "__main__":
    result = golden()
    lines = ["{"]
    for name, part in result.items():
        rows = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in part]
        lines.append(json.dumps(name) + ":[\n" + ",\n".join(rows) + "\n]" + ("," if name != "templates" else ""))
    lines.append("}")
    print("\n".join(lines))
