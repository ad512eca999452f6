// Where infinitely many texts lead to the end of a rule, for grammars with unique rules: some text is new there.
#pragma once
#include "rules.h"

int endless_open(rules *r);   // makes r->is_endless; 0: no memory
