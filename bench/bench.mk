# Programs and targets of the bench; the Makefile includes this.

BENCH_PROGRAMS := $(addprefix $(BUILD)/bench/,easy multi primitives load decisions)
BENCH_MODULES := $(foreach name,lua5.4 luajit,\
    $(if $(incdir_$(name)),$(BUILD)/$(name)/bench/calls.so))
bench_objects = $(patsubst %,$(BUILD)/plain/obj/bench/floors/%.o,$1)

$(BUILD)/bench/easy: $(call bench_objects,easy handle result)
$(BUILD)/bench/multi: $(call bench_objects,multi handle result)
$(BUILD)/bench/primitives: $(call bench_objects,primitives result rival)
$(BUILD)/bench/load: $(call bench_objects,load result)
$(BUILD)/bench/decisions: $(call bench_objects,decisions result rival) $(call archives_of,plain)

$(BENCH_PROGRAMS):
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS) $(link_plain) -o $@ $(filter %.o,$^) \
	    $(call link_archives,$(filter %.a,$^)) $(LIBRARIES)

$(BUILD)/%/bench/calls.so: $(BUILD)/%/obj/bench/floors/calls.o
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) -shared $(LDFLAGS) $(link_plain) -o $@ $<

-include $(wildcard $(BUILD)/*/obj/bench/floors/*.d)

.PHONY: bench-ready
bench-ready: build $(BENCH_PROGRAMS) $(BENCH_MODULES)

BENCH = BUILD=$(BUILD) $(RUN_LUA) bench/run.lua

# What it compares neap with is installed where it is missing, as for `make test`.
.PHONY: bench
bench: ## what neap costs beside libcurl and others [ROWS= KEEP=yes AGAINST= RESTY_HTTP= DREAM11=]
	@.ci/setup.sh build bench
	@$(MAKE) --no-print-directory bench-ready
	@$(BENCH) full $(ROWS)

.PHONY: bench-quick
bench-quick: ## the same with fewer calls, in a minute [ROWS= …]
	@.ci/setup.sh build bench
	@$(MAKE) --no-print-directory bench-ready
	@$(BENCH) quick $(ROWS)

# ----------------------------------------------------------------------------------- instructions

.PHONY: instructions
instructions: bench-ready $(SERVER) ## count the instructions of some calls, and keep them
	@BUILD=$(BUILD) $(RUN_LUA) bench/instructions/main.lua write

.PHONY: check-instructions
ifeq ($(shell command -v valgrind 2>/dev/null),)
check-instructions:
	@.ci/skip.sh 'instruction counts: valgrind is missing'
else
check-instructions: bench-ready $(SERVER)
	@BUILD=$(BUILD) $(RUN_LUA) bench/instructions/main.lua check
	@echo '[check] PASS instruction counts'
endif
