//! Values that nobody has chosen, for tests.

/// Numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.below(256) as u8).collect()
    }

    pub fn text(&mut self, least: usize, most: usize) -> String {
        const SOME: &str = "abcXYZ0189-._~!$&'()*+,;=:@/?#[]%\"\\<> \n\t\u{1}\u{7f}éß€😀";
        let some: Vec<char> = SOME.chars().collect();
        let length = least + self.below(most - least + 1);
        (0..length).map(|_| some[self.below(some.len())]).collect()
    }
}
