# The misbehaving server of the specs. The Makefile includes this; it also works alone, from the
# top directory: make -f spec/server/server.mk
# Under a sanitizer: make -f spec/server/server.mk MISBEHAVE_BUILD=build/spec/asan \
#     CFLAGS='-g -O1 -fsanitize=address,undefined', then MISBEHAVE=build/spec/asan/misbehave busted

MISBEHAVE_BUILD ?= $(or $(BUILD),build)/spec
CFLAGS ?= -O2 -g

MISBEHAVE_FLAGS := -std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Wshadow -Wconversion \
    -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Werror
MISBEHAVE_OBJECTS := $(patsubst spec/server/%.c,$(MISBEHAVE_BUILD)/server/%.o,\
    $(sort $(wildcard spec/server/*.c)))

.PHONY: misbehave
misbehave: $(MISBEHAVE_BUILD)/misbehave

$(MISBEHAVE_BUILD)/misbehave: $(MISBEHAVE_OBJECTS)
	$(call say,LINK)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ -lssl -lcrypto -lz

$(MISBEHAVE_BUILD)/server/%.o: spec/server/%.c spec/server/server.mk
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(MISBEHAVE_FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(MISBEHAVE_OBJECTS:.o=.d)
