# SPDX-License-Identifier: BSD-3-Clause
# The front door: everything else is in meson.build and scripts/. Needed packages are installed, or
# named where that is not allowed; nothing else leaves build/.
B = build
prefix = /usr/local
DESTDIR =

.DELETE_ON_ERROR:
.PHONY: all demo test bench install check clean $(B)/uvfio

all: $(B)/uvfio

$(B)/kernel-headers/usr/include/linux/vfio.h:
	@scripts/packages build
	@scripts/kernel-headers $(B)/kernel-headers

$(B)/kernel-source/.complete:
	@scripts/kernel-source $(B)/kernel-source

$(B)/build.ninja: | $(B)/kernel-headers/usr/include/linux/vfio.h
	@scripts/packages build
	meson setup $(B) -Dprefix=$(prefix) -Dtests=false \
		-Dkernel_headers=$(CURDIR)/$(B)/kernel-headers/usr/include \
		-Dkernel_source=$(CURDIR)/$(B)/kernel-source

$(B)/uvfio: | $(B)/build.ninja
	@ninja -C $(B) --quiet

# Tests are built once somebody asks for them, as they need more packages.
$(B)/.tests: | $(B)/build.ninja
	@scripts/packages build test
	@meson configure $(B) -Dtests=true
	@touch $@

demo: all
	@scripts/packages demo
	@scripts/demo $(B)

test: $(B)/.tests | $(B)/kernel-source/.complete
	@scripts/packages build test
	@ninja -C $(B) --quiet
	@meson test -C $(B) --no-rebuild --print-errorlogs $(TESTS)

bench: $(B)/.tests
	@ninja -C $(B) --quiet
	@ninja -C $(B) bench

install: all
	@meson configure $(B) -Dprefix=$(prefix)
	@meson install -C $(B) $(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')

check:
	@.ci/run

check-%:
	@scripts/packages build test check
	@scripts/check-$* $(B)

clean:
	@if [ -e $(B)/build.ninja ]; then ninja -C $(B) --quiet clean; fi
