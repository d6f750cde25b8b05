# Fuzzing by clang's libFuzzer; the Makefile includes this. How to add a target: CONTRIBUTING.md.
#
# A target is spec/fuzz/<name>_fuzz.c with its seeds in spec/fuzz/corpus/<name>/. The variant `fuzz`
# is everything under clang's coverage, AddressSanitizer and UBSan. `make fuzz` gathers what it finds
# new below $(BUILD)/fuzz/corpus, and the inputs that bring a target down in $(BUILD)/fuzz/crashes.

FUZZ_CC ?= clang
FUZZ_SECONDS := $(or $(SECONDS),60)
# These go through the binding, and are linked with Lua.
FUZZ_WITH_LUA := options
FUZZ_LUA_SOURCES := $(FUZZ_WITH_LUA:%=spec/fuzz/%_fuzz.c)
FUZZ_SOURCES := $(filter-out $(if $(call has_library,lua5.4),,$(FUZZ_LUA_SOURCES)),\
    $(sort $(wildcard spec/fuzz/*_fuzz.c)))
FUZZ_NAMES := $(patsubst spec/fuzz/%_fuzz.c,%,$(FUZZ_SOURCES))
# The rooms that targets use; the others would only be compiled in vain.
FUZZ_ROOMS := base policy metrics pipeline platform shared transport
FUZZ_LUA_ROOMS := $(FUZZ_ROOMS) store simulation client
FUZZ_PROGRAMS := $(patsubst %,$(BUILD)/fuzz/%,$(FUZZ_NAMES))

flags_fuzz := -O1 -g -fno-omit-frame-pointer -U_FORTIFY_SOURCE -Ispec -fsanitize=fuzzer-no-link \
    -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all \
    $(addprefix -isystem ,$(incdir_lua5.4))
link_fuzz := -fsanitize=fuzzer,address,undefined

$(BUILD)/fuzz/%: CC := $(FUZZ_CC)
$(eval $(call room_rules,fuzz))

$(FUZZ_PROGRAMS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/spec/fuzz/%_fuzz.o \
    $(FUZZ_ROOMS:%=$(BUILD)/fuzz/lib%.a)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS) $(link_fuzz) -o $@ $(filter %.o,$^) \
	    $(call link_archives,$(filter %.a,$^)) $(libs_of_$*) $(LIBRARIES)

define fuzz_with_lua # name
libs_of_$1 := $(call libs_from,lua5.4)
$(BUILD)/fuzz/$1: $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(sources_binding)) \
    $(FUZZ_LUA_ROOMS:%=$(BUILD)/fuzz/lib%.a)
endef
$(foreach name,$(filter $(FUZZ_WITH_LUA),$(FUZZ_NAMES)),$(eval $(call fuzz_with_lua,$(name))))

-include $(patsubst %.c,$(BUILD)/fuzz/obj/%.d,$(FUZZ_SOURCES) $(sources_binding))

.PHONY: fuzz
fuzz: ## fuzz every target for a minute each, or [TARGET=url] [SECONDS=600]
	@.ci/setup.sh build check
	@$(MAKE) --no-print-directory run-fuzz

.PHONY: run-fuzz
run-fuzz: $(if $(TARGET),$(BUILD)/fuzz/$(TARGET),$(FUZZ_PROGRAMS))
	@$(ASAN_SETTINGS) .ci/fuzz.sh long $(FUZZ_SECONDS) $^

.PHONY: check-fuzz run-fuzz-short
check-fuzz:
	@if .ci/fuzz.sh can $(FUZZ_CC); then $(MAKE) --no-print-directory run-fuzz-short; \
	    else .ci/skip.sh 'fuzzing: clang is missing, or its libFuzzer (libclang-rt-dev)'; fi
run-fuzz-short: $(FUZZ_PROGRAMS)
	@$(ASAN_SETTINGS) .ci/fuzz.sh short $^
