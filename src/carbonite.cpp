// The module: its magic, its settings and its callbacks; nothing else. PG world.

#include "capture/batch.hpp"
#include "capture/context.hpp"
#include "capture/mask.hpp"
#include "capture/plan.hpp"

extern "C"
{
	CARBONITE_MODULE_MAGIC;
	PGDLLEXPORT void _PG_init(void);
}

void
_PG_init(void)
{
	carbonite::prefix_init();
	carbonite::plan_init();
	carbonite::context_init();
	carbonite::mask_init();
	carbonite::batch_init();
	carbonite::reserve_setting_prefix("carbonite");
}
