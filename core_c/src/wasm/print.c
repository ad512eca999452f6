// snprintf for what the core's sentences need: %s %c %d %i %u %x %f %e %g and %%, flags - and 0, width and precision
// (also as *), lengths l, ll and z; no more than PLACES digits after a point. Floating-point numbers are exact: m / 2^k
// is m * 5^k with the point moved k places; they round half to even. Any other conversion traps: it is a bug, and no
// file can cause it.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct output {
    char *text;
    size_t size, n;   // n: what was written or would have been
} output;
typedef struct conversion {
    int left, zero, width, precision;   // precision -1: not given
    int length;                         // 'l': long, 'L': long long, 'z': size_t, 0: int
} conversion;

static void put(output *o, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++, o->n++)
        if (o->n + 1 < o->size) o->text[o->n] = s[i];
}
static void fill(output *o, char c, int n) {
    while (n-- > 0) put(o, &c, 1);
}
// sign and body, padded to the width.
static void put_field(output *o, const conversion *c, const char *sign, const char *body, size_t n, int zero) {
    size_t sign_size = strlen(sign), all = sign_size + n;
    int pad = c->width > 0 && (size_t)c->width > all ? c->width - (int)all : 0;
    if (!c->left && !zero) fill(o, ' ', pad);
    put(o, sign, sign_size);
    if (!c->left && zero) fill(o, '0', pad);
    put(o, body, n);
    if (c->left) fill(o, ' ', pad);
}

// ---- Integers ------------------------------------------------------------------------------------------------------

static void put_integer(output *o, const conversion *c, uint64_t value, unsigned base, const char *sign) {
    char digits[64];
    int n = 0, least = c->precision < 0 ? 1 : c->precision;
    for (; value; value /= base) digits[63 - n++] = "0123456789abcdef"[value % base];
    while (n < least && n < 64) digits[63 - n++] = '0';
    put_field(o, c, sign, digits + 64 - n, (size_t)n, c->zero && c->precision < 0);
}
static int64_t get_signed(const conversion *c, va_list *a) {
    switch (c->length) {
    case 'L': return va_arg(*a, long long);
    case 'l': return va_arg(*a, long);
    case 'z': return (int64_t)va_arg(*a, size_t);
    default: return va_arg(*a, int);
    }
}
static uint64_t get_unsigned(const conversion *c, va_list *a) {
    switch (c->length) {
    case 'L': return va_arg(*a, unsigned long long);
    case 'l': return va_arg(*a, unsigned long);
    case 'z': return va_arg(*a, size_t);
    default: return va_arg(*a, unsigned);
    }
}

// ---- Floating point ------------------------------------------------------------------------------------------------

enum { LIMBS = 88, DIGITS = 9 * LIMBS, PLACES = 300 };   // base 10^9: 2^53 * 5^1074 has 767 digits
typedef struct decimal {
    char digit[DIGITS + 1];   // 0..9, the first is not 0
    int n, point;             // 0.d1 d2 ... * 10^point; n 0: zero
} decimal;

static int multiply(uint32_t *limb, int n, uint32_t by) {
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        carry += (uint64_t)limb[i] * by;
        limb[i] = (uint32_t)(carry % 1000000000u);
        carry /= 1000000000u;
    }
    if (carry) limb[n++] = (uint32_t)carry;
    return n;
}

static void to_decimal(double x, decimal *d) {   // x is finite and not negative
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52), e = (exponent ? exponent : 1) - 1075;
    uint64_t m = (bits & 0xfffffffffffffull) | (exponent ? 1ull << 52 : 0);
    uint32_t limb[LIMBS + 1];
    int n = 0;
    for (uint64_t left = m; left; left /= 1000000000u) limb[n++] = (uint32_t)(left % 1000000000u);
    for (int i = 0; i < e; i++) n = multiply(limb, n, 2);
    for (int i = 0; i < -e; i++) n = multiply(limb, n, 5);
    d->n = 0;
    for (int i = n; i-- > 0;)
        for (uint32_t scale = 100000000; scale; scale /= 10) {
            char digit = (char)(limb[i] / scale % 10);
            if (digit || d->n) d->digit[d->n++] = digit;
        }
    d->point = m ? d->n - (e < 0 ? -e : 0) : 1;
}

// Keep `places` digits, which may be 0 or less: rounded half to even.
static void round_to(decimal *d, int places) {
    if (places >= d->n) return;
    int up = 0;
    if (places >= 0) {
        int rest = 0;
        for (int i = places + 1; i < d->n; i++) rest |= d->digit[i];
        int odd = places ? d->digit[places - 1] & 1 : 0, next = d->digit[places];
        up = next > 5 || (next == 5 && (rest || odd));
        d->n = places;
    } else d->n = 0;
    while (up && d->n && d->digit[d->n - 1] == 9) d->n--;
    if (up && d->n) d->digit[d->n - 1]++;
    else if (up) {
        d->digit[d->n++] = 1;
        d->point++;
    }
}
static char digit_at(const decimal *d, int i) { return i >= 0 && i < d->n ? (char)('0' + d->digit[i]) : '0'; }

typedef struct body {   // a number's characters, without its sign
    char text[DIGITS + PLACES];
    size_t n;
} body;
static void add(body *b, char c) { b->text[b->n++] = c; }

static void fixed(body *b, const decimal *d, int places) {
    for (int i = d->point < 1 ? d->point - 1 : 0; i < d->point; i++) add(b, digit_at(d, i));
    if (places > 0) add(b, '.');
    for (int i = 0; i < places; i++) add(b, digit_at(d, d->point + i));
}
static void scientific(body *b, const decimal *d, int places) {
    int e = d->n ? d->point - 1 : 0;
    add(b, digit_at(d, 0));
    if (places > 0) add(b, '.');
    for (int i = 1; i <= places; i++) add(b, digit_at(d, i));
    add(b, 'e');
    add(b, e < 0 ? '-' : '+');
    if (e < 0) e = -e;
    if (e >= 100) add(b, (char)('0' + e / 100));
    add(b, (char)('0' + e / 10 % 10));
    add(b, (char)('0' + e % 10));
}
static void general(body *b, decimal *d, int places) {
    places = places ? places : 1;
    round_to(d, places);
    while (d->n && !d->digit[d->n - 1]) d->n--;   // trailing zeros go
    int e = d->n ? d->point - 1 : 0;
    if (e < -4 || e >= places) scientific(b, d, d->n ? d->n - 1 : 0);
    else fixed(b, d, d->n > d->point ? d->n - d->point : 0);
}

static void put_float(output *o, const conversion *c, double x, char how) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const char *sign = bits >> 63 ? "-" : "";
    if ((bits >> 52 & 0x7ff) == 0x7ff) {
        put_field(o, c, sign, bits << 12 ? "nan" : "inf", 3, 0);
        return;
    }
    decimal d;
    body b = {.n = 0};
    int places = c->precision < 0 ? 6 : c->precision;
    if (places > PLACES) __builtin_trap();
    to_decimal(bits >> 63 ? -x : x, &d);
    if (how == 'g') general(&b, &d, places);
    else if (how == 'e') {
        round_to(&d, places + 1);
        scientific(&b, &d, places);
    } else {
        round_to(&d, d.point + places);
        fixed(&b, &d, places);
    }
    put_field(o, c, sign, b.text, b.n, c->zero);
}

// ---- Formats -------------------------------------------------------------------------------------------------------

static int number(const char **f, va_list *a) {
    int n = 0;
    if (**f == '*') {
        (*f)++;
        return va_arg(*a, int);
    }
    for (; **f >= '0' && **f <= '9'; (*f)++) n = 10 * n + (**f - '0');
    return n;
}

static conversion parse(const char **f, va_list *a) {
    conversion c = {.precision = -1};
    for (;; (*f)++) {
        if (**f == '-') c.left = 1;
        else if (**f == '0') c.zero = 1;
        else break;
    }
    c.width = number(f, a);
    if (**f == '.') {
        (*f)++;
        c.precision = number(f, a);
    }
    if (**f == 'z') c.length = *(*f)++;
    else if (**f == 'l') {
        (*f)++;
        c.length = **f == 'l' ? 'L' : 'l';
        if (**f == 'l') (*f)++;
    }
    return c;
}

static void put_string(output *o, const conversion *c, const char *s) {
    size_t n = 0, most = c->precision < 0 ? SIZE_MAX : (size_t)c->precision;
    while (n < most && s[n]) n++;
    put_field(o, c, "", s, n, 0);
}

static void convert(output *o, const conversion *c, char how, va_list *a) {
    int64_t i;
    char character;
    switch (how) {
    case 's': put_string(o, c, va_arg(*a, const char *)); break;
    case 'c':
        character = (char)va_arg(*a, int);
        put_field(o, c, "", &character, 1, 0);
        break;
    case 'd':
    case 'i':
        i = get_signed(c, a);
        put_integer(o, c, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, 10, i < 0 ? "-" : "");
        break;
    case 'u': put_integer(o, c, get_unsigned(c, a), 10, ""); break;
    case 'x': put_integer(o, c, get_unsigned(c, a), 16, ""); break;
    case 'f':
    case 'e':
    case 'g': put_float(o, c, va_arg(*a, double), how); break;
    case '%': put(o, "%", 1); break;
    default: __builtin_trap();
    }
}

int vsnprintf(char *text, size_t size, const char *format, va_list arguments) {
    output o = {text, size, 0};
    va_list a;
    va_copy(a, arguments);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&o, f, 1);
            continue;
        }
        f++;
        conversion c = parse(&f, &a);
        convert(&o, &c, *f, &a);
    }
    va_end(a);
    if (size) text[o.n < size ? o.n : size - 1] = 0;
    return (int)o.n;
}

int snprintf(char *text, size_t size, const char *format, ...) {
    va_list a;
    va_start(a, format);
    int n = vsnprintf(text, size, format, a);
    va_end(a);
    return n;
}
