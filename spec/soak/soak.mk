# The soak; the Makefile includes this. What it does and how to read it: docs/soak.md.

# Names that lead nowhere do so at once, whatever this machine's resolver does with them.
SOAK = LD_PRELOAD=$(CURDIR)/$(NAMES) $(RUN_LUA) spec/soak/main.lua

.PHONY: soak
soak: ## run nginx and plain programs for minutes against faults, kills and reloads [SECONDS= SEED=]
	@.ci/setup.sh build test
	@$(MAKE) --no-print-directory run-soak

.PHONY: run-soak
run-soak: spec-ready-lua5.4 build-luajit
	@$(SOAK) --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED))

# A short one for every day, with weather that is known.
.PHONY: test-soak
ifeq ($(and $(incdir_luajit),$(wildcard $(NGINX_MODULES)/ngx_http_lua_module.so)),)
test-soak:
	@.ci/skip.sh 'soak: the Lua module of nginx is missing, or the headers of LuaJIT'
else
test-soak: spec-ready-lua5.4 build-luajit
	@$(SOAK) --seconds 10 --seed 1
	@echo '[check] PASS soak'
endif
