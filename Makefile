# Build, checks and installation of neap. `make` alone lists the targets.
#
# Everything made goes below $(BUILD), one directory for each variant:
#   plain    archives of the rooms and the C tests, as they are shipped
#   asan     the same under AddressSanitizer and UBSan, and a module for Lua 5.4
#   tsan     the same under ThreadSanitizer
#   fuzz     the same for clang's libFuzzer, and the fuzz targets
#   lua5.1 to lua5.4, luajit, install-<version>   the binding and neap/core.so on top of `plain`
# CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, DESTDIR and LUA_INCDIR are the caller's to set; V=1 shows
# the commands.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

BUILD ?= build
PREFIX ?= /usr/local
LUA_VERSION ?= 5.4
CFLAGS ?= -O2 -g
WERROR ?= -Werror
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CPPCHECK ?= cppcheck
LUACHECK ?= luacheck
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export JOBS

# ---------------------------------------------------------------------------------------- sources

# Kinds of store that need a library, where it is there; `WITH_SQLITE= WITH_REDIS=` forgoes them.
has_library = $(shell $(PKG_CONFIG) --exists $1 2>/dev/null && echo yes)
WITH_SQLITE ?= $(call has_library,sqlite3)
WITH_REDIS ?= $(call has_library,hiredis libssl)

CORE_ROOMS := base policy metrics pipeline simulation
ROOMS := $(CORE_ROOMS) platform shared transport store client

sources_of = $(sort $(shell find src/$1 -name '*.c' 2>/dev/null))

$(foreach room,$(ROOMS) binding,$(eval sources_$(room) := $(call sources_of,$(room))))
sources_store := $(filter-out $(if $(WITH_SQLITE),%/missing_sqlite.c,src/store/sqlite_%.c) \
    $(if $(WITH_REDIS),%/missing_redis.c,src/store/redis_%.c),$(sources_store))
ROOM_SOURCES := $(foreach room,$(ROOMS),$(sources_$(room)))
SUPPORT_SOURCES := $(sort $(wildcard spec/c/support/*.c))
TEST_SOURCES := $(filter-out $(if $(WITH_SQLITE),,spec/c/store/sqlite_%.c) \
    $(if $(call has_library,lua5.4),,spec/c/binding/%),\
    $(sort $(shell find spec/c -name '*_test.c' 2>/dev/null)))
THREAD_TEST_SOURCES := $(filter %_threads_test.c,$(TEST_SOURCES))
LUA_FILES := $(sort $(shell find lua -name '*.lua' 2>/dev/null))
# Those of nginx run once, on Lua 5.4: they steer an nginx from outside.
NGINX_SPEC_FILES := $(sort $(wildcard spec/nginx/*_spec.lua))
SPEC_FILES := $(filter-out $(NGINX_SPEC_FILES),\
    $(sort $(shell find spec -name '*_spec.lua' 2>/dev/null)))
PROGRAMS := $(sort $(wildcard bin/*))
DEFINITIONS := $(sort $(shell find library -name '*.lua' 2>/dev/null))

# -------------------------------------------------------------------------------------- libraries

include_dir = $(firstword $(patsubst -I%,%,$(shell for name in $1; do \
    $(PKG_CONFIG) --cflags-only-I $$name 2>/dev/null && break; done)))
cflags_from = $(shell $(PKG_CONFIG) --cflags $1 2>/dev/null)
libs_from = $(or $(shell $(PKG_CONFIG) --libs $1 2>/dev/null),$2)

LUA_VERSIONS := 5.1 5.2 5.3 5.4
incdir_luajit := $(call include_dir,luajit)
$(foreach v,$(LUA_VERSIONS),$(eval incdir_lua$v := \
    $(call include_dir,lua$v lua-$v lua$(subst .,,$v))))

# What is installed for Lua 5.1 serves LuaJIT and PUC Lua, whichever headers it was made with.
incdir_for = $(or $(if $(filter 5.1,$1),$(incdir_luajit)),$(incdir_lua$1))

# A directory that the caller names counts only if the headers are in it.
incdir_install := $(if $(wildcard $(LUA_INCDIR)/lua.h),$(LUA_INCDIR),$(call incdir_for,$(LUA_VERSION)))

# hiredis's headers do not pass our warnings.
STORE_LIBRARIES := $(if $(WITH_SQLITE),sqlite3) $(if $(WITH_REDIS),hiredis libssl)
LIBRARY_CPPFLAGS := $(addprefix -I,$(CURL_INCDIR) $(CRYPTO_INCDIR)) \
    $(call cflags_from,libcurl) $(call cflags_from,libcrypto) \
    $(if $(strip $(STORE_LIBRARIES)),\
        $(patsubst -I%,-isystem %,$(call cflags_from,$(STORE_LIBRARIES))))
LIBRARIES := $(addprefix -L,$(CURL_LIBDIR) $(CRYPTO_LIBDIR)) \
    $(if $(strip $(STORE_LIBRARIES)),$(call libs_from,$(STORE_LIBRARIES))) \
    $(call libs_from,libcurl,-lcurl) $(call libs_from,libcrypto,-lcrypto) -lm -ldl -lrt -pthread

# ------------------------------------------------------------------------------------------ flags

# The empty value is what `#define _GNU_SOURCE` in a file would say, so that both may stand.
LANGUAGE_FLAGS := -std=c11 -D_GNU_SOURCE= -Isrc -Ispec/c
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
    -Wundef -Wunused-result
# The fortified functions need an optimiser.
FORTIFY := $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# What other hardening the compiler knows; the last one is of x86 or of ARM. Of the former's two
# halves only that of returns has an effect in a program on Linux; the other costs a call over HTTP
# and a guarded function 1 to 3 % more instructions.
known_flag = $(shell $(CC) -Werror $1 -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$1')
HARDENING := -fstack-protector-strong $(call known_flag,-fstack-clash-protection) $(firstword \
    $(call known_flag,-fcf-protection=return) $(call known_flag,-mbranch-protection=standard))
# What a module asks of others is bound when it is loaded, so a call needs no stub in between.
SHAPE := -fPIC -fvisibility=hidden -pthread $(call known_flag,-fno-plt)
SANITIZED := -O1 -g -fno-omit-frame-pointer -U_FORTIFY_SOURCE -Wno-maybe-uninitialized

flags_plain := $(CFLAGS) $(FORTIFY) $(HARDENING)
flags_asan := $(SANITIZED) -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
flags_tsan := $(SANITIZED) -fsanitize=thread
link_plain := -Wl,-z,relro,-z,now,-z,noexecstack
link_asan := -fsanitize=address,undefined
link_tsan := -fsanitize=thread
# lua_close must not unload the code under a live helper thread.
link_module := -Wl,-z,nodelete -Wl,--as-needed

compile_flags = $(LANGUAGE_FLAGS) $(LIBRARY_CPPFLAGS) $(CPPFLAGS) $(SHAPE) $(WARNINGS)

# A flags file is rewritten only when its text changes: what depends on it is then remade.
define keep_text # file, text
@mkdir -p $(dir $1)
@printf '%s\n' '$2' | cmp -s - $1 || printf '%s\n' '$2' > $1
endef

# Before a command: shows what is made instead of how, unless V=1.
say = $(if $(V),,@printf '  %-5s %s\n' $1 $@; )

.PHONY: FORCE
FORCE:

# --------------------------------------------------------------------------------------- variants

define compile_rule # variant
$(BUILD)/$1/flags: FORCE
	$$(call keep_text,$$@,$$(CC) $$(compile_flags) $$(flags_$1))

$(BUILD)/$1/obj/%.o: %.c $(BUILD)/$1/flags
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC) $$(compile_flags) $$(flags_$1) $$(WERROR) -MMD -MP -c -o $$@ $$<
endef

# An archive follows the list of its sources too, or a deleted file would live on in it.
define archive_rule # variant, archive, sources
$(BUILD)/$1/$2.list: FORCE
	$$(call keep_text,$$@,$3)

$(BUILD)/$1/$2.a: $(patsubst %.c,$(BUILD)/$1/obj/%.o,$3) $(BUILD)/$1/$2.list
	@rm -f $$@
	$$(call say,AR)$$(AR) qcs $$@ $$(filter %.o,$$^)
endef

archives_of = $(patsubst %,$(BUILD)/$1/lib%.a,$(ROOMS))
link_archives = -Wl,--start-group $1 -Wl,--end-group

define room_rules # variant
$(call compile_rule,$1)
$(foreach room,$(ROOMS),$(eval $(call archive_rule,$1,lib$(room),$(sources_$(room)))))
$(eval $(call archive_rule,$1,libcore,$(foreach room,$(CORE_ROOMS),$(sources_$(room)))))
$(eval $(call archive_rule,$1,libsupport,$(SUPPORT_SOURCES)))

$(BUILD)/$1/spec/c/%_test: $(BUILD)/$1/obj/spec/c/%_test.o $(BUILD)/$1/libsupport.a \
    $(call archives_of,$1)
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(LDFLAGS) $$(link_$1) -o $$@ $$< \
	    $$(call link_archives,$$(filter %.a,$$^)) -lcmocka $$(LIBRARIES)

-include $(patsubst %.c,$(BUILD)/$1/obj/%.d,$(ROOM_SOURCES) $(SUPPORT_SOURCES) $(TEST_SOURCES))
endef

# A module: objects of the binding from one directory, rooms from the archives of another.
define module_rule # variant, variant of the rooms
$(BUILD)/$1/binding.list: FORCE
	$$(call keep_text,$$@,$(sources_binding))

$(BUILD)/$1/neap/core.so: $(patsubst %.c,$(BUILD)/$1/obj/%.o,$(sources_binding)) \
    $(BUILD)/$1/binding.list $(call archives_of,$2)
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) -shared $$(LDFLAGS) $$(link_$2) $$(link_module) -o $$@ \
	    $$(filter %.o,$$^) $$(call link_archives,$$(filter %.a,$$^)) $$(LIBRARIES)

-include $(patsubst %.c,$(BUILD)/$1/obj/%.d,$(sources_binding))
endef

# A test of the binding has all of it and Lua linked in; its objects are made with the binding's.
define binding_test_rule # variant, variant of the binding, of the rooms, Lua's library
$(BUILD)/$1/spec/c/binding/%_test: $(BUILD)/$2/obj/spec/c/binding/%_test.o \
    $(patsubst %.c,$(BUILD)/$2/obj/%.o,$(sources_binding)) $(BUILD)/$3/libsupport.a \
    $(call archives_of,$3)
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC) $$(LDFLAGS) $$(link_$3) -o $$@ $$(filter %.o,$$^) \
	    $$(call link_archives,$$(filter %.a,$$^)) -lcmocka $$(call libs_from,$4) $$(LIBRARIES)

-include $(patsubst %.c,$(BUILD)/$2/obj/%.d,$(filter spec/c/binding/%,$(TEST_SOURCES)))
endef

incdir_install-$(LUA_VERSION) := $(incdir_install)
INTERPRETERS := $(addprefix lua,$(LUA_VERSIONS)) luajit
BINDING_VARIANTS := $(INTERPRETERS) install-$(LUA_VERSION)

# The binding under the sanitizers is for Lua 5.4 and lives with its rooms.
flags_asan += $(addprefix -isystem ,$(incdir_lua5.4))

$(foreach variant,plain asan tsan,$(eval $(call room_rules,$(variant))))
$(foreach variant,$(BINDING_VARIANTS),\
    $(eval flags_$(variant) := $(flags_plain) $(addprefix -isystem ,$(incdir_$(variant))))\
    $(eval $(call compile_rule,$(variant)))\
    $(eval $(call module_rule,$(variant),plain)))
$(eval $(call module_rule,asan,asan))
$(eval $(call binding_test_rule,plain,lua5.4,plain,lua5.4))
$(eval $(call binding_test_rule,asan,asan,asan,lua5.4))
$(eval $(call binding_test_rule,luajit,luajit,plain,luajit))

# The misbehaving server of the specs brings its own rules.
MISBEHAVE_BUILD := $(BUILD)/spec
-include spec/server/server.mk
SERVER := $(if $(wildcard spec/server/server.mk),$(BUILD)/spec/misbehave)

# ---------------------------------------------------------------------------------------- running

# $(BUILD)/<variant>/lua runs an interpreter with this tree's neap on its paths, and nothing of the
# caller's surroundings. NEAP_LUA and arg[-1] name it to specs that start a second interpreter.
define interpreter_script # variant, interpreter, additional environment
#!/usr/bin/env bash
unset $${!LUA_INIT@} $${!LUA_PATH@} $${!LUA_CPATH@}
export LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;;'
export LUA_CPATH='$(CURDIR)/$(BUILD)/$1/?.so;;'
export NEAP_LUA='$(CURDIR)/$(BUILD)/$1/lua'
$(if $3,export $3)
exec -a "$$NEAP_LUA" $2 "$$@"
endef

ASAN_SETTINGS := ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    LSAN_OPTIONS=suppressions=$(CURDIR)/.ci/lsan.supp:print_suppressions=0
ASAN_PRELOAD = $(shell $(CC) -print-file-name=libasan.so):$(CURDIR)/$(BUILD)/asan/unpreload.so
ASAN_ENVIRONMENT = $(ASAN_SETTINGS) LD_PRELOAD=$(ASAN_PRELOAD)
# ThreadSanitizer's shadow does not fit every random address layout; setarch takes the chance out.
TSAN_RUN := $(shell setarch -R true 2>/dev/null && echo setarch -R) \
    env TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1

define interpreter_rule # variant, interpreter, environment's variable name
$(BUILD)/$1/lua: export SCRIPT = $$(call interpreter_script,$1,$2,$$($3))
$(BUILD)/$1/lua: Makefile
	@mkdir -p $$(@D)
	@printf '%s\n' "$$$$SCRIPT" > $$@
	@chmod +x $$@
endef

$(foreach name,$(INTERPRETERS),$(eval $(call interpreter_rule,$(name),$(name))))
$(eval $(call interpreter_rule,asan,lua5.4,ASAN_ENVIRONMENT))

$(BUILD)/asan/unpreload.so: .ci/unpreload.c
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -std=c11 -O2 $(WARNINGS) -shared -fPIC -o $@ $<

# Names whose addresses are made up, for the specs of deny_private and the soak.
NAMES := $(BUILD)/spec/names.so
$(NAMES): spec/support/names.c
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARNINGS) -Werror -shared -fPIC -o $@ $< -ldl

RUN_LUA = $(BUILD)/lua5.4/lua
STEPS = +@MAKE='$(MAKE)' .ci/steps.sh

tests_of = $(patsubst %.c,$(BUILD)/$1/%,$2)
# What LuaJIT's own parts of the binding do without memory.
tests_of_luajit := $(if $(incdir_luajit),\
    $(call tests_of,luajit,$(filter %/allocation_test.c,$(TEST_SOURCES))))
module_ready = $(BUILD)/$1/neap/core.so $(BUILD)/$1/lua
NGINX_MODULES ?= /usr/lib/nginx/modules

include bench/bench.mk
-include spec/fuzz/fuzz.mk
-include spec/soak/soak.mk

# ---------------------------------------------------------------------------------------- targets

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile bench/bench.mk \
	    spec/fuzz/fuzz.mk spec/soak/soak.mk

.PHONY: build
build: ## build the module for Lua 5.4 and LuaJIT; build-lua5.3 and so on for the older versions
build: build-lua5.4 $(if $(incdir_luajit),build-luajit)

define build_target # variant
.PHONY: build-$1
build-$1: $(call module_ready,$1)
endef
$(foreach variant,$(INTERPRETERS),$(eval $(call build_target,$(variant))))

.PHONY: setup
setup: ## install the Debian packages that build, test, check and demo need
	@.ci/setup.sh build test check demo

.PHONY: demo
demo: ## build, then run the demonstration
	@.ci/setup.sh build demo
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory run-demo

.PHONY: run-demo
run-demo: $(SERVER)
	@$(RUN_LUA) examples/demo/main.lua

.PHONY: demo-nginx
demo-nginx: ## build, then run the demonstration in nginx: two workers, one breaker
	@.ci/setup.sh build demo-nginx
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory run-demo-nginx

.PHONY: run-demo-nginx
run-demo-nginx:
	@$(RUN_LUA) examples/openresty/demo.lua

.PHONY: test
test: ## C tests, specs on each Lua, a short soak, examples, installation
	@.ci/setup.sh build test
	$(STEPS) test-c test-lua5.4 test-luajit test-in-nginx test-nginx test-soak \
	    $(addprefix test-,$(OLDER_LUAS)) test-examples test-install

.PHONY: check
check: ## static checks, and the tests under sanitizers and an aggressive collector
	@.ci/setup.sh build test check
	$(STEPS) check-format check-lua check-rooms check-self check-symbols check-hardening \
	    check-clang check-cppcheck check-tidy check-instructions check-models check-fuzz check-c-asan \
	    check-lua-asan check-c-tsan check-lua-gc check-luajit-gc check-valgrind

.PHONY: format
format: ## lay out the C sources with clang-format
	@files=`$(C_FILES)`; [ -z "$$files" ] || $(CLANG_FORMAT) -i $$files

.PHONY: ctest
ctest: ## run one C test: TEST=policy/breaker [VARIANT=plain|asan|tsan; of the binding luajit]
ctest:
	@$(MAKE) --no-print-directory -s $(BUILD)/$(or $(VARIANT),plain)/spec/c/$(TEST)_test $(SERVER)
	@$(run_$(or $(VARIANT),plain)) $(BUILD)/$(or $(VARIANT),plain)/spec/c/$(TEST)_test

.PHONY: spec
spec: ## run specs: SPEC=spec/foo_spec.lua [VARIANT=lua5.1…5.4|luajit|nginx|asan] [ARGS='--filter=…']
	@$(MAKE) --no-print-directory -s spec-ready-$(or $(VARIANT),lua5.4)
	@$(BUILD)/$(or $(VARIANT),lua5.4)/lua .ci/busted.lua $(ARGS) $(or $(SPEC),spec)

.PHONY: examples
examples: ## run every program in examples/, and the demonstration
examples: test-examples

.PHONY: docs
docs: build-lua5.4 ## make tables of options and faults, and classes for editors, anew from the declarations
	@$(RUN_LUA) .ci/book.lua README.md docs/*.md library/neap/options.lua

.PHONY: figures
figures: build-lua5.4 ## make the documents' figures anew, by the commands that stand there
	@sed -n 's|^    neap \(simulate .* --out docs/figures/.*\)|\1|p' docs/*.md | \
	    while read -r words; do $(RUN_LUA) bin/neap $$words || exit 1; done

.PHONY: install
install: ## install to PREFIX [DESTDIR=] [LUA_VERSION=5.4]
.PHONY: uninstall
uninstall: ## remove what install put there
.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BUILD)

# ------------------------------------------------------------------------------------------ tests

run_asan = env $(ASAN_SETTINGS)
run_tsan = $(TSAN_RUN)

.PHONY: test-c
test-c: $(call tests_of,plain,$(TEST_SOURCES)) $(tests_of_luajit) $(SERVER)
	@.ci/c_tests.sh '' $(filter %_test,$^)

.PHONY: spec-ready-asan $(addprefix spec-ready-,$(INTERPRETERS))
$(addprefix spec-ready-,$(INTERPRETERS)): spec-ready-%: build-% build $(SERVER) $(NAMES)
spec-ready-asan: $(call module_ready,asan) $(BUILD)/asan/unpreload.so build $(SERVER) $(NAMES)

# On the older versions, and with the collector that never rests, without those that mostly wait for
# other processes, or are about the specs' own helpers: `make spec VARIANT=lua5.3` runs all.
OLDER_LUAS := lua5.1 lua5.2 lua5.3
SHORT_SPECS := $(filter-out spec/support/% %/compression_bomb_spec.lua %/deadline_spec.lua \
    %/examples_spec.lua %/fault_matrix_spec.lua %/outbox_kill_spec.lua %/serving_spec.lua \
    %/tls_versions_spec.lua,$(SPEC_FILES))

# The collector that never rests is for the binding: pages, drawings and programs are made by Lua.
# So it is with Lua 5.2, which stands between two that run all of these.
BINDING_SPECS := $(filter-out spec/bench% spec/soak/% spec/simulate_% %_program_spec.lua %/book_spec.lua \
    %/check_spec.lua %/check_worst_case_spec.lua %/docs_spec.lua %/figures_spec.lua %/library_spec.lua \
    %/neap_simulate_spec.lua %/prometheus_rules_spec.lua,$(SHORT_SPECS))

# Of the fault matrix the older versions play a part.
FAULT_MATRIX := spec/fault_matrix_spec.lua

# With Lua 5.4 all files run in one process, so that what one of them leaves behind is felt by the
# next; elsewhere each has a process of its own.
define spec_target # variant, its name in words, specs, specs.sh (all in one process) or specs_apart.sh
.PHONY: test-$1
ifeq ($(and $(incdir_$1),$(shell command -v $1 2>/dev/null)),)
test-$1:
	@.ci/skip.sh 'specs on $2: it is missing, or its headers'
else
test-$1: spec-ready-$1
	@AGAIN=yes .ci/$4 $(BUILD)/$1/lua '$3'
endif
endef
$(eval $(call spec_target,lua5.4,Lua 5.4,$(SPEC_FILES),specs.sh))
$(eval $(call spec_target,luajit,LuaJIT,$(SPEC_FILES),specs_apart.sh))
$(foreach name,lua5.1 lua5.3,$(eval $(call spec_target,$(name),$(name),$(SHORT_SPECS) \
    $(FAULT_MATRIX),specs_apart.sh)))
$(eval $(call spec_target,lua5.2,lua5.2,$(BINDING_SPECS) $(FAULT_MATRIX),specs_apart.sh))

# What needs no blocking host runs in a timer of nginx too. Left out: what is about plain Lua's own
# coroutines and loop (compat, run: ngx_lua makes coroutines of Lua functions only, and starts a
# task at once), processes (fork), measurements of this process's descriptors (concurrency), and
# what starts programs (examples, spec/support).
SPECS_IN_NGINX := $(foreach name,backoff breaker bulkhead check deadline docs double_payment error \
    error_kinds fallback herd json late_answers open_breaker_speed outbox pipeline_order policy \
    rate_limiter retry retry_after retry_budget stats testing transport wrap,spec/$(name)_spec.lua) \
    spec/nginx/inside.lua
# There a call inside string.gsub cannot block: it is refused, see spec/nginx/inside.lua.
NOT_IN_NGINX := --filter-out='inside.a.C.function.of.Lua.blocks'

# Runs a program in a timer of nginx, with what LuaJIT's runs it with.
$(BUILD)/nginx/lua: export SCRIPT = $(call interpreter_script,luajit,$(CURDIR)/.ci/nginx_lua.sh)
$(BUILD)/nginx/lua: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' "$$SCRIPT" > $@
	@chmod +x $@

.PHONY: spec-ready-nginx
spec-ready-nginx: spec-ready-luajit $(BUILD)/nginx/lua

.PHONY: test-in-nginx test-nginx
ifeq ($(and $(incdir_luajit),$(wildcard $(NGINX_MODULES)/ngx_http_lua_module.so)),)
test-in-nginx:
	@.ci/skip.sh 'specs in nginx: its Lua module is missing, or the headers of LuaJIT'
test-nginx:
	@.ci/skip.sh 'specs of nginx: its Lua module is missing, or the headers of LuaJIT'
else
test-in-nginx: spec-ready-nginx
	@AGAIN=yes .ci/specs.sh $(BUILD)/nginx/lua '$(SPECS_IN_NGINX)' $(NOT_IN_NGINX)
test-nginx: spec-ready-lua5.4 build-luajit
	@AGAIN=yes .ci/specs_apart.sh $(BUILD)/lua5.4/lua '$(NGINX_SPEC_FILES)'
endif

.PHONY: test-examples
test-examples: spec-ready-lua5.4
	@.ci/examples.sh $(RUN_LUA) $(sort $(wildcard examples/*.lua)) spec/examples_spec.lua

.PHONY: test-install
test-install:
	@MAKE='$(MAKE_COMMAND)' .ci/install_test.sh

# ----------------------------------------------------------------------------------------- checks

C_FILES = find src spec bench examples -name '*.[ch]' 2>/dev/null | sort
LUA_ROOTS = $(wildcard lua library spec examples bench .ci/*.lua *.rockspec .luacheckrc) \
    $(if $(PROGRAMS),$(shell grep -lE '^\#!.*lua' $(PROGRAMS)))

.PHONY: check-format
check-format:
	@files=`$(C_FILES)`; [ -z "$$files" ] || $(CLANG_FORMAT) --dry-run -Werror $$files
	@echo '[check] PASS clang-format'

.PHONY: check-lua
check-lua:
	@$(LUACHECK) --quiet --no-cache $(LUA_ROOTS)
	@echo '[check] PASS luacheck'

.PHONY: check-rooms
check-rooms:
	@.ci/rooms.sh src
	@echo '[check] PASS rooms include only what they may'

# What clang warns about in everything that is in C, for the headers of either Lua; nothing is made.
CLANG ?= clang
CLANG_LUAS := $(foreach name,lua5.4 luajit,$(if $(incdir_$(name)),$(name)))
clang_sources_plain := $(ROOM_SOURCES) $(SUPPORT_SOURCES) $(filter-out spec/c/binding/%,$(TEST_SOURCES)) \
    $(filter-out $(FUZZ_LUA_SOURCES),$(FUZZ_SOURCES)) $(wildcard src/store/missing_*.c spec/server/*.c spec/support/*.c .ci/*.c) \
    $(filter-out %/calls.c,$(wildcard bench/floors/*.c))
clang_sources_luajit := $(sources_binding) bench/floors/calls.c
clang_sources_lua5.4 := $(clang_sources_luajit) $(filter spec/c/binding/%,$(TEST_SOURCES)) \
    $(FUZZ_LUA_SOURCES)

.PHONY: check-clang clang-plain $(CLANG_LUAS:%=clang-%)
ifeq ($(shell command -v $(CLANG) 2>/dev/null),)
check-clang:
	@.ci/skip.sh 'warnings of clang: it is missing'
else
check-clang: clang-plain $(CLANG_LUAS:%=clang-%)
	@echo '[check] PASS clang has nothing to warn about'
endif
clang-plain $(CLANG_LUAS:%=clang-%): clang-%:
	@printf '%s\n' $(clang_sources_$*) | xargs -n 40 $(CLANG) $(compile_flags) -Ispec -Werror -fsyntax-only \
	    $(addprefix -isystem ,$(incdir_$*))

MODULES := $(foreach name,$(INTERPRETERS),$(if $(incdir_$(name)),$(BUILD)/$(name)/neap/core.so))

.PHONY: check-symbols
check-symbols: $(BUILD)/plain/libcore.a $(MODULES)
	@.ci/symbols.sh core $(BUILD)/plain/libcore.a
	@.ci/symbols.sh module $(MODULES)
	@echo '[check] PASS symbols of core and modules'

.PHONY: check-hardening
check-hardening: $(MODULES)
	@.ci/hardening.sh $^
	@echo '[check] PASS hardening of the modules'

.PHONY: check-self
check-self:
	@.ci/selftest.sh

# Cppcheck 2.10 misreads hexadecimal floats (0x1p63), hence the first suppression.
.PHONY: check-cppcheck
check-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	@[ -z '$(ROOM_SOURCES)' ] || $(CPPCHECK) --quiet --std=c11 --language=c -j$(JOBS) \
	    --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=incorrectLogicOperator --suppress=missingIncludeSystem \
	    --cppcheck-build-dir=$(BUILD)/cppcheck -Isrc src
	@echo '[check] PASS cppcheck'

# A source is looked at again only after it, or a header below it, has changed.
define tidy_rule # variant, include directory of Lua
$(BUILD)/tidy/$1/%.ok: %.c $(BUILD)/$1/obj/%.o .clang-tidy
	@mkdir -p $$(@D)
	$$(call say,TIDY)$$(CLANG_TIDY) --quiet $$< -- $$(LANGUAGE_FLAGS) $$(LIBRARY_CPPFLAGS) $2
	@touch $$@
endef
$(eval $(call tidy_rule,plain))
$(eval $(call tidy_rule,lua5.4,$(addprefix -isystem ,$(incdir_lua5.4))))

.PHONY: check-tidy
check-tidy: $(patsubst %.c,$(BUILD)/tidy/plain/%.ok,$(ROOM_SOURCES)) \
    $(patsubst %.c,$(BUILD)/tidy/lua5.4/%.ok,$(sources_binding))
	@echo '[check] PASS clang-tidy'

MODELS := $(sort $(wildcard docs/models/*.pml))

.PHONY: models
models: ## have spin look at every state of the models of shared memory, docs/models/
	@.ci/models.sh $(BUILD)/models $(MODELS)

.PHONY: check-models
ifeq ($(shell command -v spin 2>/dev/null),)
check-models:
	@.ci/skip.sh 'models: spin is missing'
else
check-models: models
endif

.PHONY: check-c-asan
check-c-asan: $(call tests_of,asan,$(TEST_SOURCES)) $(SERVER)
	@.ci/c_tests.sh "$(run_asan)" $(filter %_test,$^)

.PHONY: check-lua-asan
check-lua-asan: spec-ready-asan
	@.ci/specs_apart.sh $(BUILD)/asan/lua '$(SPEC_FILES)'

.PHONY: check-c-tsan
check-c-tsan: $(call tests_of,tsan,$(THREAD_TEST_SOURCES)) $(SERVER)
	@.ci/c_tests.sh "$(run_tsan)" $(filter %_test,$^)

.PHONY: check-lua-gc
check-lua-gc: spec-ready-lua5.4
	@.ci/specs_apart.sh $(BUILD)/lua5.4/lua '$(BINDING_SPECS)' --helper=spec/support/aggressive_gc.lua

# On LuaJIT the same, but for those that mostly wait; GC_SPECS='$$(BINDING_SPECS)' runs all.
GC_SPECS ?= $(filter-out $(foreach name,alerts concurrency error_kinds fork injection listeners \
    loop_cqueues loop_luv outbox prometheus retry secrets shared store,%/$(name)_spec.lua),\
    $(BINDING_SPECS))

.PHONY: check-luajit-gc
ifeq ($(and $(incdir_luajit),$(shell command -v luajit 2>/dev/null)),)
check-luajit-gc:
	@.ci/skip.sh 'specs on LuaJIT with the collector that never rests: it is missing, or its headers'
else
check-luajit-gc: spec-ready-luajit
	@.ci/specs_apart.sh $(BUILD)/luajit/lua '$(GC_SPECS)' --helper=spec/support/aggressive_gc.lua
endif

# Memcheck needs no suppressions: neither Lua nor libcurl nor OpenSSL does what it complains of. What
# is lost for good is an error; a child that a spec forks is on its own.
VALGRIND := valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --num-callers=25 --child-silent-after-fork=yes
VALGRIND_SPECS ?= $(foreach name,cache headers idempotency json policy reach wrap,\
    spec/$(name)_spec.lua)

# What specs start runs without it: NEAP_LUA names the plain interpreter.
$(BUILD)/valgrind/lua: export SCRIPT = $(call interpreter_script,lua5.4,$(VALGRIND) lua5.4)
$(BUILD)/valgrind/lua: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' "$$SCRIPT" > $@
	@chmod +x $@

.PHONY: check-valgrind
ifeq ($(shell command -v valgrind 2>/dev/null),)
check-valgrind:
	@.ci/skip.sh 'memcheck: valgrind is missing'
else
check-valgrind: spec-ready-lua5.4 $(BUILD)/valgrind/lua
	@.ci/specs_apart.sh $(BUILD)/valgrind/lua '$(VALGRIND_SPECS)'
endif

# The binding's specs on interpreters whose own assertions are on (LUAI_ASSERT, LUA_USE_APICHECK and
# LuaJIT's), built from Debian's sources; by hand, for it fetches these.
ASSERTING := $(BUILD)/asserting
ASSERTING_SPECS ?= $(BINDING_SPECS)

define asserting_rule # interpreter
$(ASSERTING)/run-$1/lua: export SCRIPT = $$(call interpreter_script,$1,$(CURDIR)/$(ASSERTING)/$1)
$(ASSERTING)/run-$1/lua: Makefile
	@mkdir -p $$(@D)
	@printf '%s\n' "$$$$SCRIPT" > $$@
	@chmod +x $$@

.PHONY: check-$1-assert
check-$1-assert: spec-ready-$1 $(ASSERTING)/run-$1/lua
	@status=0; .ci/asserting_lua.sh $1 $(ASSERTING) || status=$$$$?; \
	case $$$$status in \
	0) .ci/specs_apart.sh $(ASSERTING)/run-$1/lua '$(ASSERTING_SPECS)' ;; \
	3) .ci/skip.sh 'specs on $1 with assertions: its source cannot be had' ;; \
	*) exit 1 ;; \
	esac
endef
$(foreach name,lua5.4 luajit,$(eval $(call asserting_rule,$(name))))

.PHONY: check-lua-assert
check-lua-assert: check-lua5.4-assert $(if $(incdir_luajit),check-luajit-assert)

# ------------------------------------------------------------------------------------ installation

INSTALL ?= install
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin
INST_DATADIR ?= $(PREFIX)/share/neap
# A plain `lua` may be of another version than the module.
PROGRAM_LUA ?= $(notdir $(firstword $(shell command -v lua$(LUA_VERSION) || \
    { [ $(LUA_VERSION) = 5.1 ] && command -v luajit; }) lua))
MODULE := $(BUILD)/install-$(LUA_VERSION)/neap/core.so

# What strangers' compilers warn about must not keep neap from being installed.
.PHONY: module
module install: WERROR :=
module: $(MODULE)

$(MODULE): | lua-headers
.PHONY: lua-headers
lua-headers:
ifeq ($(incdir_install),)
	@echo 'No headers of Lua $(LUA_VERSION) found: set LUA_INCDIR, or run make setup.' >&2; exit 1
endif

install: module
	$(INSTALL) -d $(DESTDIR)$(INST_LIBDIR)/neap
	$(INSTALL) -m 755 $(MODULE) $(DESTDIR)$(INST_LIBDIR)/neap/core.so
	@for file in $(patsubst lua/%,%,$(LUA_FILES)); do \
	    $(INSTALL) -d "$(DESTDIR)$(INST_LUADIR)/$${file%/*}" && \
	    $(INSTALL) -m 644 "lua/$$file" "$(DESTDIR)$(INST_LUADIR)/$$file" || exit 1; \
	done
	@for file in $(DEFINITIONS); do \
	    $(INSTALL) -d "$(DESTDIR)$(INST_DATADIR)/$${file%/*}" && \
	    $(INSTALL) -m 644 "$$file" "$(DESTDIR)$(INST_DATADIR)/$$file" || exit 1; \
	done
	@for program in $(PROGRAMS); do \
	    $(INSTALL) -d "$(DESTDIR)$(INST_BINDIR)" && \
	    $(INSTALL) -m 755 "$$program" "$(DESTDIR)$(INST_BINDIR)/$${program##*/}" && \
	    sed -i '1s|env lua$$|env $(PROGRAM_LUA)|' "$(DESTDIR)$(INST_BINDIR)/$${program##*/}" || \
	    exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(INST_LIBDIR)/neap/core.so \
	    $(patsubst lua/%,$(DESTDIR)$(INST_LUADIR)/%,$(LUA_FILES)) \
	    $(patsubst bin/%,$(DESTDIR)$(INST_BINDIR)/%,$(PROGRAMS)) \
	    $(addprefix $(DESTDIR)$(INST_DATADIR)/,$(DEFINITIONS))
	@for root in $(DESTDIR)$(INST_LIBDIR)/neap $(DESTDIR)$(INST_LUADIR)/neap \
	    $(DESTDIR)$(INST_DATADIR); do \
	    [ ! -d "$$root" ] || find "$$root" -depth -type d -empty -delete; \
	done
