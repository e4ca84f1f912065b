; Arrivals at the mbarriers of the active lanes, one lane after the other. A barrier is one word: the transactions
; that are still expected in bits 0 to 20 (signed), the arrivals that are still pending in bits 21 to 40, those of a
; whole phase in bits 41 to 60, and the parity of the present phase in bit 63. Each lane gets the word as it found it.
define internal <32 x i64> @mbarrier_arrive(<32 x i64> %a, i32 %mask, <32 x i64> %arrivals, <32 x i64> %bytes, <32 x i64> %drops) noinline {
entry:
  %places = alloca [32 x i64], align 64
  %arriving = alloca [32 x i64], align 64
  %expected = alloca [32 x i64], align 64
  %dropped = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %places, align 64
  store <32 x i64> %arrivals, ptr %arriving, align 64
  store <32 x i64> %bytes, ptr %expected, align 64
  store <32 x i64> %drops, ptr %dropped, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %done_lane ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %places, i64 %lane64
  %place = load ptr, ptr %p_a
  %p_n = getelementptr i64, ptr %arriving, i64 %lane64
  %n = load i64, ptr %p_n
  %p_t = getelementptr i64, ptr %expected, i64 %lane64
  %t = load i64, ptr %p_t
  %p_d = getelementptr i64, ptr %dropped, i64 %lane64
  %d = load i64, ptr %p_d
  %old = load i64, ptr %place, align 8
  store i64 %old, ptr %p_a
  %tx_left = add i64 %old, %t
  %tx = and i64 %tx_left, 2097151
  %pending_word = lshr i64 %old, 21
  %pending_old = and i64 %pending_word, 1048575
  %pending_left = sub i64 %pending_old, %n
  %pending = and i64 %pending_left, 1048575
  %count_word = lshr i64 %old, 41
  %count_old = and i64 %count_word, 1048575
  %count_left = sub i64 %count_old, %d
  %count = and i64 %count_left, 1048575
  %phase = and i64 %old, -9223372036854775808
  %both = or i64 %tx, %pending
  %complete = icmp eq i64 %both, 0
  %flipped = xor i64 %phase, -9223372036854775808
  %phase1 = select i1 %complete, i64 %flipped, i64 %phase
  %pending1 = select i1 %complete, i64 %count, i64 %pending
  %w1 = shl i64 %pending1, 21
  %w2 = shl i64 %count, 41
  %w3 = or i64 %w1, %w2
  %w4 = or i64 %w3, %tx
  %w5 = or i64 %w4, %phase1
  store i64 %w5, ptr %place, align 8
  br label %done_lane
done_lane:
  br label %loop
done:
  %r = load <32 x i64>, ptr %places, align 64
  ret <32 x i64> %r
}
