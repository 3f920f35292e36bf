# PGXS build: make, make install, make installcheck.
EXTENSION  = carbonite
# the version stands once, in the control file
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" carbonite.control)

MODULE_big = carbonite
OBJS       = $(patsubst %.cpp,%.o,$(wildcard src/*.cpp src/*/*.cpp))
DATA_built = carbonite--$(EXTVERSION).sql
DATA       = $(wildcard src/sql/upgrade/*.sql)
# plugins by other names that hand clients to ours: a library each, in a directory of their own
FORWARDERS = $(patsubst %.cpp,%.so,$(wildcard src/decode/forwarder/*.cpp))
EXTRA_CLEAN = carbonite--$(EXTVERSION).sql $(FORWARDERS) $(FORWARDERS:.so=.o)

REGRESS        = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS   = --load-extension=carbonite
ISOLATION      = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso --load-extension=carbonite
TAP_TESTS      = 1
PROVE_TESTS    = test/tap/*.pl

# No exception can arise in the library, so none can cross a PostgreSQL frame. Symbols are
# hidden but for the SQL functions; PGDLLEXPORT is empty before PostgreSQL 16.
PG_CXXFLAGS = -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wno-register \
              -fvisibility=hidden -fvisibility-inlines-hidden -Isrc
PG_CPPFLAGS = -DPGDLLEXPORT='__attribute__((visibility("default")))'
# clang would need the C++ flags for its bitcode; inlining a trigger gains nothing
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.hpp src/*/*.hpp)

all: $(FORWARDERS)
$(FORWARDERS): %.so: %.o
	$(CXX) $(CFLAGS) -shared -o $@ $< $(LDFLAGS)
install: install-forwarders
install-forwarders: $(FORWARDERS)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)/carbonite_plugins'
	$(INSTALL_SHLIB) $(FORWARDERS) '$(DESTDIR)$(pkglibdir)/carbonite_plugins/'
uninstall: uninstall-forwarders
uninstall-forwarders:
	rm -rf '$(DESTDIR)$(pkglibdir)/carbonite_plugins'
.PHONY: install-forwarders uninstall-forwarders

# The install script is its parts, in the order of their names.
carbonite--$(EXTVERSION).sql: $(sort $(wildcard src/sql/*.sql))
	cat $^ > $@
