#!/usr/bin/env bash
# The rooms' rule: each room below SOURCES includes only the rooms that docs and CONTRIBUTING.md
# allow it, Lua's headers appear in the binding alone, libcurl's in the transport alone, SQLite's and
# hiredis's in the store alone, the clock's in the platform alone, and the core uses only headers
# without input, output, time or memory.
# Usage: rooms.sh SOURCES
set -u

sources=${1:-src}
find "$sources" -name '*.[ch]' -print 2>/dev/null | LC_ALL=C sort | awk -v sources="$sources" '
function allow(room, rooms) { may[room] = " " room " " rooms " " }

BEGIN {
    allow("base", "")
    allow("policy", "base")
    allow("metrics", "base")
    allow("pipeline", "policy metrics base")
    allow("simulation", "pipeline policy metrics base")
    allow("platform", "base")
    allow("shared", "platform base")
    allow("transport", "platform base")
    allow("store", "platform base")
    below = "base policy metrics pipeline platform shared transport store"
    allow("client", below)
    allow("binding", below " client simulation")

    core = " base policy metrics pipeline simulation "
    # stdio.h for snprintf, stdlib.h for strtol and the like; symbols.sh sees to the rest of them.
    pure = " ctype.h errno.h float.h inttypes.h limits.h math.h stdalign.h stdarg.h stdatomic.h " \
        "stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h strings.h assert.h "
}

function has(list, word) { return index(list, " " word " ") > 0 }
function complain(text) { printf "%s:%d: %s\n", file, number, text; bad = 1 }

function check_own(room, name,    other) {
    if (name !~ /\//) { complain("\"" name "\" lacks its room: write \"room/" name "\""); return }
    other = name
    sub(/\/.*/, "", other)
    if (name ~ /\.\./ || !(other in may)) complain("\"" name "\" is in no room")
    else if (!has(may[room], other)) complain("room " room " may not include room " other)
}

function check_system(room, name) {
    if (name ~ /^(lua|lauxlib|lualib|luaconf|luajit)(\.h|\.hpp|\/)/ && room != "binding")
        complain("only binding includes <" name ">")
    else if (name ~ /^curl\// && room != "transport")
        complain("only transport includes <" name ">")
    else if (name ~ /^(sqlite3.*\.h|hiredis(_ssl)?\.h|hiredis\/.*)$/ && room != "store")
        complain("only store includes <" name ">")
    else if (name ~ /^(time\.h|sys\/time\.h|sys\/timeb\.h|sys\/random\.h)$/ && room != "platform")
        complain("only platform includes <" name ">")
    else if (room == "policy" && name == "openssl/sha.h")
        return # a digest computes from its arguments alone
    else if (has(core, room) && !has(pure, name))
        complain("room " room " is of the core and may not include <" name ">")
}

function check_line(room, line,    name) {
    if (line !~ /^[ \t]*#[ \t]*(include|import|include_next)[^a-z_]/) return
    sub(/^[ \t]*#[ \t]*[a-z_]+[ \t]*/, "", line)
    name = substr(line, 2)
    sub(/[">].*/, "", name)
    if (line ~ /^"/) check_own(room, name)
    else if (line ~ /^</ && name ~ /^(base|policy|metrics|pipeline|simulation|platform|shared|transport|store|client|binding)\//)
        check_own(room, name)
    else if (line ~ /^</) check_system(room, name)
    else complain("an #include by macro cannot be checked")
}

{
    file = $0
    number = 0
    if (split(substr(file, length(sources) + 2), part, "/") < 2 || !(part[1] in may)) {
        complain("is in no room")
        next
    }
    room = part[1]
    while ((getline line < file) > 0) {
        number++
        check_line(room, line)
    }
    close(file)
}

END { exit bad }
'
