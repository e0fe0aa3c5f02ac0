/*
 * Tokray: why did the model say that?
 *
 * Five nouns: a model (tkr_model, immutable, shared by threads), a session (tkr_session, one thread's working memory), a
 * question (tkr_question, plain data), a result (tkr_result, arrays with named axes) and an error (tkr_error).
 * examples/explain.c shows them at work in thirty lines.
 */
#ifndef TOKRAY_TOKRAY_H
#define TOKRAY_TOKRAY_H

#include <tokray/error.h>
#include <tokray/explain.h>
#include <tokray/model.h>
#include <tokray/present.h>
#include <tokray/result.h>
#include <tokray/session.h>
#include <tokray/text.h>
#include <tokray/version.h>

#endif
