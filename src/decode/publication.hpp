// Publications that narrow a stream: their tables, actions, columns and rows. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

struct Stream;
struct StreamRelation;
struct Change;

// One publication's say about a relation.
struct PublicationRule
{
	bool actions[4];   // insert, update, delete, truncate
	ExprState *filter; // or null
};

struct PublishedRelation
{
	int nrules;
	PublicationRule *rules;
	ExprContext *expressions; // where filters are evaluated
	bool all_columns;
	Bitmapset *columns; // attribute numbers of `rel`
};

// Which of a stream's publications have a relation, compiled in the current memory context; null if
// none has it.
PublishedRelation *published_relation(const List *publications, Relation rel);

// What publications make of a change of a row: the same, another one, or nothing. Of an update only
// one of whose rows passes the filters, an insert or a delete is left.
bool publication_filter(const PublishedRelation *published, TupleTableSlot *slot, Change *change);

} // namespace carbonite
